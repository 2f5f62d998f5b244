"""The two passes of the suite: on compiled modules, and on their sources; and which modules take long.

Whatever runs a hot module runs in both. The second pass leaves out what would say the same again.
"""

from __future__ import annotations

import os

COMPILED_ALONE = {
    "acme": "no hot module knows of it",
    "commands": "tables for a terminal",
    "config": "no hot module reads a configuration",
    "ipc": "no hot module sends a message",
    "master": "the master runs no hot module",
    "test_architecture.py": "looks at sources",
    "test_incidents.py": "the tools of docs/incidents.rst",
    "test_browser.py": "the tools of `e2e/test_page`",
    "test_bench.py": "the tools of the measurements",
    "test_bench_failures.py": "the same",
    "test_bench_reloads.py": "the same",
    "test_cli.py": "commands run no hot module but the parser, which `http` tests",
    "test_completion.py": "the same",
    "test_deployment.py": "looks at files for other programs",
    "test_distribution.py": "what is built does not depend on the variable",
    "test_docs.py": "looks at the documentation",
    "http/test_octets.py": "compiles what it looks at itself, and compares it with its source",
    "test_monitoring.py": "looks at files for other programs",
    "test_oserrors.py": "no hot module",
    "test_packaging.py": "builds both flavours itself",
    "test_units.py": "no hot module",
    "test_vocabulary.py": "looks at sources",
    "e2e/test_acme.py": "the monitor process and the master",
    "e2e/test_admin_page.py": "what the monitor process serves; how that goes on is in `test_admin`",
    "e2e/test_block_warning.py": "a thread that watches the loop",
    "e2e/test_canary.py": "what the master makes of figures, which `test_admin` shows to be right",
    "e2e/test_comparison.py": "files of the documentation",
    "e2e/test_control.py": "what the master answers",
    "e2e/test_demo.py": "a command",
    "e2e/test_environment.py": "what the master inherits",
    "e2e/test_explain.py": "a command",
    "e2e/test_memory.py": "what reading a configuration takes, and what is imported where",
    "e2e/test_logrotate.py": "what the master opens anew",
    "e2e/test_monitor.py": "the monitor process; what it serves is in `test_admin` and `test_health_checks`",
    "e2e/test_opener.py": "what the privileged opener opens for the master",
    "e2e/test_page.py": "what a browser makes of what the monitor process says",
    "e2e/test_preflight.py": "a worker that looks at servers, and asks none",
    "e2e/test_privileges.py": "what the master drops",
    "e2e/test_proxy_senders.py": "headers as `test_proxy_protocol` has them, of others",
    "e2e/test_rehearse.py": "a command; `test_reload` and `test_crash` do to l7 what it does",
    "e2e/test_server_names.py": "the monitor process looks names up; `test_servers_in_traffic` asks what it finds",
    "e2e/test_supervisord.py": "what the master is to others",
    "e2e/test_systemd.py": "the same",
    "e2e/test_top.py": "a command; what it shows is in `test_overview`",
    "e2e/test_upgrade.py": "two masters; how workers hand connections over is in `test_handover`",
    "e2e/test_vanished_paths.py": "what the master makes anew",
}
"""Directories and modules below ``tests`` that run in the first pass alone, and why."""

OVER_TLS = ("e2e/test_compression.py", "e2e/test_http_requests.py", "e2e/test_pipelining.py", "e2e/test_websocket.py")
"""Modules of which each test runs over TLS, too."""

_RAW = "has clients of its own"
_WAIT = "who waits for a place waits within the handshake, and those before it are idle meanwhile"
_STAYS = "a worker of before goes on with the TLS of its connections, and stays as long as they do"
_MANY = "so many handshakes take longer than the first of them may wait for its request"
_LISTENERS = "chooses or changes what it listens on"
PLAIN_ALONE = {
    "e2e/test_applications.py::test_what_a_client_makes_up_goes_no_further_than_the_terminator": _RAW,
    "e2e/test_early_answers.py::test_curl": _RAW,
    "e2e/test_fair_accept.py::test_two_thousand_connections": _MANY,
    "e2e/test_fair_accept.py::test_a_reload_hands_over_fairly": _MANY,
    "e2e/test_handover.py": _STAYS,
    "e2e/test_limits.py::test_the_limit_is_shared_by_the_workers": _WAIT,
    "e2e/test_limits.py::test_a_worker_without_descriptors_waits_for_some": _WAIT,
    "e2e/test_limits.py::test_idle_connections_make_place_where_descriptors_end": _WAIT,
    "e2e/test_limits.py::test_clients_leave_descriptors_for_servers": _WAIT,
    "e2e/test_listeners.py::test_from_the_short_form_to_the_long_one_and_back_the_socket_stays": _LISTENERS,
    "e2e/test_privileges.py::test_everybody_is_nobody_after_a_privileged_port_is_bound": _LISTENERS,
    "e2e/test_reload.py::test_a_kept_connection_is_kept_through_any_number_of_reloads": _STAYS,
    "e2e/test_reload.py::test_listeners_come_and_go": _LISTENERS,
    "e2e/test_syscalls.py": "counts what a request without TLS takes",
    "e2e/test_timeouts.py::test_a_client_that_does_not_read_is_cut": "of a record that is not whole nothing is read",
}
"""Modules below ``tests/e2e``, and tests of them, that are left out where all others run over TLS, and why."""

SLOW = (
    "test_packaging.py",
    "e2e/test_acme.py",
    "e2e/test_tls_reload.py",
    "e2e/test_control.py",
    "e2e/test_upgrade.py",
    "e2e/test_client_certificates.py",
    "e2e/test_rehearse.py",
    "e2e/test_tls_to_servers.py",
    "e2e/test_deployments.py",
    "e2e/test_queue.py",
    "e2e/test_balancing.py",
    "e2e/test_servers_in_traffic.py",
    "e2e/test_page.py",
    "test_incidents.py",
    "e2e/test_http_requests.py",
    "http/test_properties.py",
    "config/test_jsonschema.py",
    "e2e/test_supervisord.py",
    "e2e/test_tls.py",
    "e2e/test_privileges.py",
    "e2e/test_signals.py",
    "e2e/test_limits.py",
    "e2e/test_handover.py",
    "e2e/test_cut_off.py",
    "test_distribution.py",
    "e2e/test_recorder.py",
    "e2e/test_environment.py",
    "e2e/test_compression.py",
    "e2e/test_differential.py",
    "test_cli.py",
    "e2e/test_demo.py",
    "e2e/test_explain.py",
    "e2e/test_tracing.py",
    "e2e/test_monitor.py",
    "e2e/test_vanished_paths.py",
    "e2e/test_server_orders.py",
)
"""The modules that take longest, the longest first: no process is to begin one when the others have no more."""


def is_second_pass() -> bool:
    """Whether this is `make test-pure`, after `make test`."""
    return os.environ.get("EXPECT_L7") == "pure Python"


def examples(first: int) -> int:
    """How many examples a property is tried with: ``first``, and a fifth of them, the same ones, in the second pass."""
    return first // 5 if is_second_pass() else first
