// Starts the page: asks for the overview, and gives it to what shows its parts.

import { Failures } from "./failures.js";
import { Head } from "./head.js";
import { Poller } from "./poll.js";
import { Reloads } from "./reloads.js";
import { Routes } from "./routes.js";
import { Servers } from "./servers.js";
import { StatusLine } from "./status.js";
import { Story } from "./story.js";
import { Certificates, Workers } from "./workers.js";

const find = (id) => document.getElementById(id);

const parts = [
  new Head(),
  new Routes(find("routes")),
  new Servers(find("servers")),
  new Failures(find("failures")),
  new Workers(find("workers")),
  new Reloads(find("reloads")),
  new Certificates(find("certificates")),
];
const story = new Story();
const status = new StatusLine(() => poller.now());
const poller = new Poller("overview", seen, (error, wait) => status.failed(error, wait));

function seen(overview) {
  for (const part of parts) part.update(overview);
  find("main").hidden = false;
  status.seen(overview);
  story.refresh();
}

poller.now();
story.follow();
