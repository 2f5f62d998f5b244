"""What nginx, HAProxy, Caddy and l7 are told in the bench; `proxies` fills it in.

Equal everywhere: one worker (thread, ``GOMAXPROCS``), an access log to a file, connections to the server kept and
reused, clients kept alive without a bound of requests, ``Host``, ``X-Forwarded-For``, ``-Proto``, ``-Host`` and
``-Port``, ``Via`` and a fresh ``X-Request-ID`` on each request, bodies streamed in both directions and never written to
a disk; TLS 1.2 and 1.3 with one certificate, P-256, and tickets. nginx logs its ``combined`` line; the others log their
own, which say more: Caddy's as JSON, which costs it less than ``console``.
"""

from __future__ import annotations

NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 12000; }}
http {{
    access_log {directory}/access.log combined;
    {zone}
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    upstream app {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=4096;
        {certificate}
        server_name {hosts};
        {login}
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header Via "1.1 nginx";
            proxy_set_header X-Request-ID $request_id;
            {rules}
        }}
        location /frames/ {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host $host;
        }}
    }}
}}
"""

HAPROXY = """\
global
    log stdout format raw local0 info
    nbthread {workers}
    maxconn {connections}
    maxpipes 100
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    option splice-auto
    http-reuse always
    timeout connect 3s
    timeout client 75s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 75s
    timeout tunnel 60s
{userlist}
frontend clients
    bind 127.0.0.1:{port}{ssl} backlog 4096
    {login}
    unique-id-format %[uuid()]
    unique-id-header X-Request-ID
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Via "1.1 haproxy"
    use_backend app if {{ req.hdr(host) -i -f {directory}/hosts }}
backend app
    server app 127.0.0.1:{upstream}
"""

CADDY = """\
{{
    admin off
    auto_https off
    default_sni {host}
    servers {{
        protocols h1
    }}
}}
{scheme}://:{port} {{
    bind 127.0.0.1
    {certificate}
    {login}
    log {{
        output file {directory}/access.log {{
            roll_disabled
        }}
        format json
    }}
    @site host {host}
    reverse_proxy @site 127.0.0.1:{upstream} {{
        header_up X-Forwarded-Port {port}
        header_up Via "1.1 caddy"
        header_up X-Request-ID {{http.request.uuid}}
        transport http {{
            compression off
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 1024
        }}
    }}
}}
"""

L7 = """\
port: {port}
bind: 127.0.0.1
workers: {workers}
{run_as}
access-log: {directory}/access.log
{tls}
{login}
{recorder}
backends:
{backends}
"""
