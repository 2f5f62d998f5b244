"""What the keys of ``l7 top`` do."""

from __future__ import annotations

HELP = (
    "  1 2 3 4     routes, servers, workers, failures; also Tab and Shift-Tab",
    "  z           one view, or all on one screen (as at first from 40 lines on)",
    "  up, down    mark another row; also j, k, Page Up, Page Down, Home, End",
    "  Enter       open the marked row: of a route its last requests, of a server",
    "              its time line, of a failure or a request its story",
    "  Esc         back; or show all rows again",
    "  s, S        sort by the next column; turn the order around",
    "  <, >        sort by the column on the left, on the right",
    "  /           show only rows with a text: Enter keeps it, Esc drops it",
    "  p, space    pause, and go on",
    "  r           ask at once; on a page: ask again",
    "  Ctrl-L      draw the screen anew",
    "  q, Ctrl-C   quit",
    "",
    "  An arrow marks the column by which rows are sorted. Rates and latencies are",
    "  those of the last ten seconds. err: answers with 5xx, and of a server also its",
    "  failures; refused: by rules; p50, p99: half of the requests, and all but one",
    "  in a hundred, took no longer, of a server up to its first byte; flight:",
    "  requests that are served now; queue: those that wait for a server with room;",
    "  gen: the generation of the configuration; lag: how long a worker is late;",
    "  up !: the server is up, and there is something to be said of it.",
)
