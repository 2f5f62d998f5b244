// Starts the page: asks for the overview, and gives it to what shows its parts.

import { Head } from "./head.js";
import { Poller } from "./poll.js";
import { Reloads } from "./reloads.js";
import { Requests } from "./requests.js";
import { Routes } from "./routes.js";
import { Servers } from "./servers.js";
import { StatusLine } from "./status.js";
import { Story } from "./story.js";
import { Certificates, Workers } from "./workers.js";

const find = (id) => document.getElementById(id);

const requests = new Requests(find("requests"));
const parts = [
  new Head(),
  new Routes(find("routes")),
  new Servers(find("servers")),
  requests,
  new Workers(find("workers")),
  new Reloads(find("reloads")),
  new Certificates(find("certificates")),
];
const story = new Story();
const status = new StatusLine(() => poller.now());
const poller = new Poller("overview", seen, (error, wait) => status.failed(error, wait));

function seen(overview) {
  for (const part of parts) part.update(overview);
  if (find("main").hidden) {
    find("main").hidden = false;
    requests.follow();
  }
  status.seen(overview);
  story.refresh();
}

poller.now();
story.follow();
