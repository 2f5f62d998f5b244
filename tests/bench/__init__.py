"""CPU, speed, latency and memory of l7 beside nginx and HAProxy: ``make bench``, or ``python -m tests.bench --help``.

Every measurement starts one proxy afresh on the first core, alone; the server behind it and the load run on the others.
A round measures every proxy once, one after the other, so that what the machine does besides meets all of them, and
ratios are taken within a round only. What is compared is CPU time per request: unlike requests per second it does not
depend on what else the cores do.

================  =====================================================================================
`jobs`            what is measured: a table
`proxies`         how nginx, HAProxy and l7 are configured: as equal as they allow
`upstream`        the servers behind them; `sink` is the one that reads bodies to their end
`wrk`             closed-loop load; `pacer` open-loop load at a given rate; `idle` connections that do nothing
`meter`           CPU time and memory of a tree of processes
`processes`       children that are pinned, and gone at the end whatever happens
`trial`           one measurement: a proxy, a job
`campaign`        rounds of trials
`figures`         medians, ranges, paired ratios
`report`          the results as text, as reStructuredText and as JSON
`machine`         what it ran on
`packages`        Debian's packages, installed where they are missing
`reloads`         apart from these: what a reload costs
`failures`        apart from these: what clients see of a server that fails; `actors` are the servers, `callers` the
                  clients, `rivals` the proxies' settings
================  =====================================================================================
"""
