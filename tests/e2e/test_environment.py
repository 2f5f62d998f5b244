"""What a parent process hands down to l7, whoever that is: a container, a pod, a shell, a supervisor."""

from __future__ import annotations

from tests.config.test_loading import SERVICE
from tests.harness.client import get

CONFIG = "port: {}\nbackends: {{'*': {{servers: ['{}']}}}}\n"


def test_a_pod_with_a_service_of_our_name(l7, origin):
    proxy = l7(CONFIG.format(0, origin().address), inherit=False, env=SERVICE)
    assert get(proxy.address).status == 200
    proxy.hup()
    proxy.wait_for_event("reload done")
    said = [line for line in proxy.events if "L7_" in line]
    assert len(said) == 1, proxy.transcript()
    assert "warning" in said[0]
    assert "L7_PORT, L7_PORT_80_TCP and 6 more: set by Kubernetes or Docker" in said[0]
