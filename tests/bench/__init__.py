"""CPU, speed, latency and memory of l7 beside nginx, HAProxy and Caddy: ``make bench``, ``python -m tests.bench``.

Every measurement starts one proxy afresh on the first core, alone; the server behind it and the load run on the others.
A round measures every proxy once, one after the other, so that what the machine does besides meets all of them, and
ratios are taken within a round only. What is compared is CPU time per request: unlike requests per second it does not
depend on what else the cores do.

================  =====================================================================================
`jobs`            what is measured: a table
`settings`        what nginx, HAProxy, Caddy and l7 are told: as equal as they allow
`proxies`         how their files are filled in and how they are started
`certificate`     the one that they show, where clients speak TLS
`upstream`        the servers behind them; `sink` is the one that reads bodies to their end
`wrk`             closed-loop load; `pacer` open-loop load at a given rate, in C; `handshakes` a TLS connection for each
                  request; `idle` connections that do nothing
`footprint`       memory, start and reload without traffic
`pauses`          what a worker of l7 does beside requests
`meter`           CPU time and memory of a tree of processes
`processes`       children that are pinned, and gone at the end whatever happens
`trial`           one measurement: a proxy, a job
`campaign`        rounds of trials
`figures`         medians, ranges, paired ratios
`report`          the results as text, as reStructuredText and as JSON; `summary` what the README says of them
`machine`         what it ran on
`packages`        Debian's packages, installed where they are missing
`reloads`         apart from these: what a reload costs
`failures`        apart from these: what clients see of a server that fails; `actors` are the servers, `callers` the
                  clients, `rivals` the proxies' settings
================  =====================================================================================
"""
