"""Line ends, request lines, targets, hosts and fields that no server may ever see."""

from __future__ import annotations

from tests.corpus.cases import (
    CONTROLS,
    CRLF,
    HIGH,
    HOST,
    SEPARATORS,
    Case,
    Family,
    chunks,
    each,
    get,
    label,
    lines,
    post,
    statuses,
)

EITHER = statuses(400, 501)

line_ends = Family("line-ends")
for name, raw in {
    "lf-everywhere": b"GET /p HTTP/1.1\nHost: example.com\n\n",
    "lf-after-the-request-line": b"GET /p HTTP/1.1\nHost: example.com\r\n\r\n",
    "lf-after-a-field": b"GET /p HTTP/1.1\r\nHost: example.com\nX: y\r\n\r\n",
    "lf-after-the-last-field": b"GET /p HTTP/1.1\r\nHost: example.com\n\r\n",
    "lf-as-the-last-line": b"GET /p HTTP/1.1\r\nHost: example.com\r\n\n",
    "lf-lf-at-the-end": b"GET /p HTTP/1.1\r\nHost: example.com\n\n",
    "lf-first": b"\nGET /p HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "lf-cr": b"GET /p HTTP/1.1\n\rHost: example.com\n\r\n\r",
    "cr-everywhere": b"GET /p HTTP/1.1\rHost: example.com\r\r",
    "cr-after-the-request-line": b"GET /p HTTP/1.1\rHost: example.com\r\n\r\n",
    "cr-after-a-field": b"GET /p HTTP/1.1\r\nHost: example.com\rX: y\r\n\r\n",
    "cr-hides-a-field": b"POST /p HTTP/1.1\r\nHost: example.com\r\nX: y\rContent-Length: 5\r\n\r\nhello",
    "cr-hides-chunked": b"POST /p HTTP/1.1\r\nHost: example.com\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "cr-first": b"\rGET /p HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "cr-cr-lf-after-the-request-line": b"GET /p HTTP/1.1\r\r\nHost: example.com\r\n\r\n",
    "cr-cr-lf-after-a-field": b"GET /p HTTP/1.1\r\nHost: example.com\r\r\n\r\n",
    "cr-cr-lf-at-the-end": b"GET /p HTTP/1.1\r\nHost: example.com\r\n\r\r\n\r\n",
    "cr-in-the-method": b"G\rT /p HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "cr-in-the-target": b"GET /p\rq HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "cr-in-a-name": b"GET /p HTTP/1.1\r\nHost: example.com\r\nX\rY: z\r\n\r\n",
    "cr-in-a-value": b"GET /p HTTP/1.1\r\nHost: example.com\r\nX: y\rz\r\n\r\n",
    "cr-at-the-end-of-a-value": b"GET /p HTTP/1.1\r\nHost: example.com\r\nX: y\r\r\nZ: a\r\n\r\n",
    "cr-in-host": b"GET /p HTTP/1.1\r\nHost: example\r.com\r\n\r\n",
    "9-empty-lines-first": CRLF * 9 + get(),
    "5000-empty-lines-first": CRLF * 5000 + get(),
    "space-line-first": b" \r\n" + get(),
    "space-line-between": b"GET /p HTTP/1.1\r\n \r\nHost: example.com\r\n\r\n",
}.items():
    line_ends.reject(name, raw)
ENDS = {
    "vt": b"\x0b",
    "ff": b"\x0c",
    "fs": b"\x1c",
    "gs": b"\x1d",
    "rs": b"\x1e",
    "us": b"\x1f",
    "nul": b"\x00",
    "nel": b"\x85",
    "utf8-nel": b"\xc2\x85",
    "utf8-ls": b"\xe2\x80\xa8",
    "utf8-ps": b"\xe2\x80\xa9",
    "utf16-lf": b"\n\x00",
    "escaped": b"\\r\\n",
    "percent": b"%0d%0a",
}
for name, end in ENDS.items():
    line_ends.reject(f"{name}-after-the-request-line", b"GET /p HTTP/1.1" + end + HOST + b"\r\n\r\n")
    line_ends.reject(f"{name}-crlf-after-the-request-line", b"GET /p HTTP/1.1" + end + CRLF + HOST + b"\r\n\r\n")
    if name != "percent":  # a token, and so the start of another name
        line_ends.reject(
            f"{name}-starts-a-length",
            b"POST /p HTTP/1.1\r\nHost: example.com\r\nX: y" + CRLF + end + b"Content-Length: 5\r\n\r\nhello",
        )

request_line = Family("request-line")
for name, line in {
    "empty-method": b" /p HTTP/1.1",
    "empty-target": b"GET  HTTP/1.1",
    "two-spaces-before-the-target": b"GET  /p HTTP/1.1",
    "two-spaces-before-the-version": b"GET /p  HTTP/1.1",
    "trailing-space": b"GET /p HTTP/1.1 ",
    "trailing-tab": b"GET /p HTTP/1.1\t",
    "leading-space": b" GET /p HTTP/1.1",
    "leading-tab": b"\tGET /p HTTP/1.1",
    "tab-before-the-target": b"GET\t/p HTTP/1.1",
    "tab-before-the-version": b"GET /p\tHTTP/1.1",
    "tabs": b"GET\t/p\tHTTP/1.1",
    "vt": b"GET\x0b/p\x0bHTTP/1.1",
    "nbsp": b"GET\xa0/p\xa0HTTP/1.1",
    "utf8-nbsp": b"GET\xc2\xa0/p HTTP/1.1",
    "comma": b"GET,/p,HTTP/1.1",
    "no-version": b"GET /p",
    "no-version-space": b"GET /p ",
    "no-target": b"GET HTTP/1.1",
    "only-method": b"GET",
    "only-version": b"HTTP/1.1",
    "four-words": b"GET /p q HTTP/1.1",
    "space-in-the-target": b"GET /a b HTTP/1.1",
    "five-words": b"GET /p HTTP/1.1 HTTP/1.1",
    "a-field": b"Host: example.com",
    "a-status-line": b"HTTP/1.1 200 OK",
    "colon": b"GET: /p HTTP/1.1",
    "bom": b"\xef\xbb\xbfGET /p HTTP/1.1",
    "nul-first": b"\x00GET /p HTTP/1.1",
    "percent-space": b"GET%20/p%20HTTP/1.1",
    "reversed": b"HTTP/1.1 /p GET",
    "comment": b"# GET /p HTTP/1.1",
}.items():
    request_line.reject(name, lines(line, HOST))
for name, raw in {
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n\r\n",
    "socks5": b"\x05\x01\x00\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "proxy-protocol-1": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + get(),
    "proxy-protocol-2": b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c" + bytes(12) + get(),
    "smtp": b"EHLO example.com\r\n\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n\r\n",
    "random": bytes(range(255, -1, -1)) + b"\r\n\r\n",
    "nuls": b"\x00" * 100 + b"\r\n\r\n",
    "0.9": b"GET /p\r\n\r\n",
}.items():
    request_line.reject(name, raw)
request_line.reject("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", statuses(505))

methods = Family("method")
for name, byte in each(CONTROLS + SEPARATORS + HIGH):
    methods.reject(f"{name}-inside", lines(b"GE" + byte + b"T /p HTTP/1.1", HOST))
for name, byte in each(b"\x00\x0b\x1c\x85\xa0:@"):
    methods.reject(f"{name}-first", lines(byte + b"GET /p HTTP/1.1", HOST))
    methods.reject(f"{name}-last", lines(b"GET" + byte + b" /p HTTP/1.1", HOST))
for size in (33, 64, 1000):
    methods.reject(f"{size}-bytes", lines(b"M" * size + b" /p HTTP/1.1", HOST), statuses(501))
for name, target in {"plain": b"example.com:443", "address": b"127.0.0.1:80", "ipv6": b"[::1]:443"}.items():
    methods.reject(f"connect-{name}", lines(b"CONNECT " + target + b" HTTP/1.1", b"Host: " + target), statuses(405))
    methods.reject(
        f"connect-{name}-and-data",
        lines(b"CONNECT " + target + b" HTTP/1.1", b"Host: " + target) + b"\x16\x03\x01",
        statuses(405),
    )
methods.reject("connect-1.0", lines(b"CONNECT example.com:443 HTTP/1.0"), statuses(400, 405))
for name, target in {
    "no-port": b"example.com",
    "empty-port": b"example.com:",
    "path": b"/",
    "absolute": b"http://example.com/",
    "userinfo": b"u@example.com:443",
    "bad-port": b"example.com:x",
    "asterisk": b"*",
    "no-host": b":443",
    "path-after": b"example.com:443/x",
}.items():
    methods.reject(f"connect-{name}", lines(b"CONNECT " + target + b" HTTP/1.1", HOST), statuses(400, 405))
methods.reject("trace-with-length", post(b"Content-Length: 5", body=b"hello", method=b"TRACE"))
methods.reject("trace-with-length-zero-and-body", post(b"Content-Length: 1", body=b"x", method=b"TRACE"))
methods.reject("trace-chunked", post(b"Transfer-Encoding: chunked", body=chunks(b"x"), method=b"TRACE"))
for value in (b"x", b"-1", b"+1", b"1.0", b"", b"0x1", b"1 1", b"1, 2", b"\xb2", b"9" * 30):
    methods.reject(f"trace-max-forwards-{label(value)}", lines(b"TRACE /p HTTP/1.1", HOST, b"Max-Forwards: " + value))
methods.reject("trace-max-forwards-twice", lines(b"TRACE /p HTTP/1.1", HOST, b"Max-Forwards: 1", b"Max-Forwards: 2"))

versions = Family("version")
for value in (
    b"http/1.1",
    b"Http/1.1",
    b"HTTp/1.1",
    b"HTTP/1.1x",
    b"HTTP/11",
    b"HTTP/1",
    b"HTTP/1.",
    b"HTTP/.1",
    b"HTTP/",
    b"HTTP",
    b"HTTP/1.10",
    b"HTTP/01.1",
    b"HTTP/1.01",
    b"HTTP/1.1.1",
    b"HTTP/1,1",
    b"HTTP/1:1",
    b"HTTP/+1.1",
    b"HTTP/-1.1",
    b"HTTP/1.+1",
    b"HTTP/x.1",
    b"HTTP/1.x",
    b"HTP/1.1",
    b"HHTTP/1.1",
    b"HTTPS/1.1",
    b"HTTP\\1.1",
    b"HTTP-1.1",
    b"HTTP/ 1.1",
    b"HTTP /1.1",
    b"HTTP/1 .1",
    b"HTTP/1. 1",
    b"HTTP/1.1\x00",
    b"\x00HTTP/1.1",
    b"HTTP/1\x00.1",
    b"HTTP/1.1;q=1",
    b"ICY/1.1",
    b"RTSP/1.0",
    b"HTTP/\xef\xbc\x91.1",
    b"HTTP/1.\xd9\xa1",
    b"HTTP/\xb9.1",
    b"HTTP/0x1.1",
    b"HTTP/1.32",
    b"HTTP/10.1",
    b"HTTP/99999999999.1",
    b'"HTTP/1.1"',
    b"HTTP/1.1\xa0",
    b"HTTP/1.1\x0b",
    b"HTTP/1.1\x85",
):
    versions.reject(label(value), lines(b"GET /p " + value, HOST))
for value in (b"0.9", b"0.0", b"0.1", b"2.0", b"2.1", b"3.0", b"9.9"):
    versions.reject(value.decode(), get(version=b"HTTP/" + value), statuses(505))

targets = Family("target")
for name, byte in each(CONTROLS + HIGH + b"#"):
    targets.reject(f"{name}-inside", get(target=b"/a" + byte + b"b"))
for name, byte in each(b"\x00\x1c\x7f\x80\x85\xa0#"):
    targets.reject(f"{name}-last", get(target=b"/a" + byte))
    targets.reject(f"{name}-in-the-query", get(target=b"/a?b" + byte))
for target in (
    b"* p p/q ?q ;p \\p :80 example.com example.com/ example.com:80 localhost:80 @/ 127.0.0.1 //:@ "
    b"http: http:/ http:/x http:// http:///x http://?q http:x http//x http:\\\\x\\ http://:80/ http://@/ http://u@h/ http://u:p@h/ http://:@h/ "
    b"http://h:99999/ http://h:65536/ http://h:x/ http://h:-1/ http://h:+1/ http://h:80:80/ http://h:8 http://[::1/ http://::1/ http://[::g]/ "
    b"http://[]/ http://[::1]x/ http://[::1]:x/ http://[v1.a]/ http://[::1%25lo]/ http://[127.0.0.1]/ http://h%/ http://h%zz/ http://h\\x/ "
    b'http://h"/ http://h<>/ http://{h}/ http://h|/ http://h^/ http://h`/ '
    b"ftp://h/ file:///etc/passwd ws://h/ wss://h/ gopher://h/ data:text/plain,x javascript:alert(1) mailto:a@b urn:x about:blank httpx://h/ xhttp://h/ "
    b"http1://h/ -http://h/ http+unix://h/ ://h/ //@ %2Fp %2f"
).split():
    if not target.startswith(b"//") and target != b"http://h:8":
        targets.reject(label(target), get(target=target))
targets.reject("absolute-fragment", get(target=b"http://other.test/#f"))
targets.reject("asterisk-post", lines(b"POST * HTTP/1.1", HOST))
targets.reject("asterisk-head", lines(b"HEAD * HTTP/1.1", HOST))
targets.reject("asterisk-and-more", lines(b"OPTIONS *x HTTP/1.1", HOST))
targets.reject("asterisk-query", lines(b"OPTIONS *?x HTTP/1.1", HOST))
targets.reject("asterisk-twice", lines(b"OPTIONS ** HTTP/1.1", HOST))
targets.reject("absolute-without-host", get(target=b"http://other.test/", host=b""))
targets.reject("absolute-with-two-hosts", get(HOST, target=b"http://other.test/"))
targets.reject("absolute-with-a-bad-host", get(target=b"http://other.test/", host=b"Host: a b"))
targets.reject("absolute-with-an-empty-port-and-junk", get(target=b"http://other.test:x"))

hosts = Family("host")
hosts.reject("absent", get(host=b""))
hosts.reject("absent-with-others", get(b"X-Host: example.com", host=b""))
hosts.reject("absent-underscore", get(b"Ho_st: example.com", host=b""))
for name, second in {
    "same": HOST,
    "different": b"Host: evil.test",
    "empty": b"Host:",
    "other-case": b"hOST: example.com",
    "bad": b"Host: a b",
}.items():
    hosts.reject(f"two-{name}", get(second))
    hosts.reject(f"two-{name}-apart", get(b"X-A: b", second))
hosts.reject("two-empty-first", lines(b"GET /p HTTP/1.1", b"Host:", HOST))
hosts.reject("two-in-1.0", lines(b"GET /p HTTP/1.0", HOST, b"Host: evil.test"))
hosts.reject("three", get(HOST, HOST))
for name, byte in each(CONTROLS + HIGH + b'"/<>?@[\\]^`{|} \t#'):
    hosts.reject(f"{name}-inside", get(host=b"Host: exam" + byte + b"ple.com"))
for name, byte in each(b"\x00\x0b\x1c\x85\xa0\xff"):
    hosts.reject(f"{name}-last", get(host=b"Host: example.com" + byte))
    hosts.reject(f"{name}-first", get(host=b"Host: " + byte + b"example.com"))
for value in (
    b"",
    b" ",
    b"\t",
    b":",
    b":80",
    b"@",
    b"u@h",
    b"u:p@h",
    b"@h",
    b"h:x",
    b"h:-1",
    b"h:+80",
    b"h: 80",
    b"h :80",
    b"h:80x",
    b"h:0x50",
    b"h:65536",
    b"h:99999",
    b"h:80:80",
    b"h:8_0",
    b"h:\xb2",
    b"h:999999999999999999999",
    b"[::1",
    b"::1",
    b"::1:80",
    b"2001:db8::1",
    b"[::1]x",
    b"[::1]:x",
    b"[]",
    b"[:]",
    b"[::g]",
    b"[::1%25lo]",
    b"[::1%lo]",
    b"[v1.a]",
    b"[127.0.0.1]",
    b"[example.com]",
    b"[[::1]]",
    b"[::1]:99999",
    b"[1:2:3:4:5:6:7:8:9]",
    b"[::1::]",
    b"http://h",
    b"h/",
    b"h/p",
    b"/",
    b"//h",
    b"h?q",
    b"h#f",
    b"h,",
    b"a b",
    b"a, b",
    b"%",
    b"%4",
    b"%zz",
    b"h%",
    b"*.h\\",
    b'"h"',
    b"<h>",
    b"{h}",
    b"h|g",
    b"h^",
    b"h`",
    b"../h",
    b"..\\h",
):
    if value != b"h,":  # a comma is a sub-delim
        hosts.reject(f"value-{label(value)}", get(host=b"Host: " + value))
hosts.reject("bad-in-1.0", lines(b"GET /p HTTP/1.0", b"Host: a b"))
hosts.reject("empty-in-1.0", lines(b"GET /p HTTP/1.0", b"Host:"))

names = Family("name")
for name, byte in each(CONTROLS + SEPARATORS.replace(b":", b"") + HIGH + b" \t"):
    names.reject(f"{name}-inside", get(b"X" + byte + b"A: b"))
for name, byte in each(b' \t\x00\x0b\x0c\x1c\x1f\x7f\x80\x85\xa0\xad\xff"(;@'):
    names.reject(f"{name}-before-the-colon", get(b"X-A" + byte + b": b"))
    names.reject(f"{name}-first", get(b"X-B: c", byte + b"X-A: b"))
    for word, raw in {
        "length": post(b"Content-Length" + byte + b": 5", body=b"hello"),
        "length-first": post(b"X: y", byte + b"Content-Length: 5", body=b"hello"),
        "both": post(b"Content-Length: 5", b"Content-Length" + byte + b": 6", body=b"hello"),
        "coding": post(b"Transfer-Encoding" + byte + b": chunked", body=chunks(b"hello")),
        "coding-first": post(b"X: y", byte + b"Transfer-Encoding: chunked", body=chunks(b"hello")),
        "length-and-coding": post(b"Content-Length: 5", b"Transfer-Encoding" + byte + b": chunked", body=b"hello"),
        "host": get(b"Host" + byte + b": evil.test"),
    }.items():
        names.reject(f"{name}-{word}", raw)
for name, line in {
    "empty": b": b",
    "empty-with-space": b" : b",
    "no-colon": b"X-A",
    "no-colon-but-space": b"X-A b",
    "only-colon": b":",
    "equals": b"X-A=b",
    "quoted": b'"X-A": b',
    "request-line": b"GET /q HTTP/1.1",
    "fullwidth-colon": b"X-A\xef\xbc\x9a b",
    "semicolon": b"X-A; b",
    "percent-colon": b"X-A%3a b",
}.items():
    names.reject(name, get(line))
    names.reject(f"{name}-first", lines(b"GET /p HTTP/1.1", line, HOST))
    names.reject(f"{name}-then-length", post(line, b"Content-Length: 5", body=b"hello"))

values = Family("value")
for name, byte in each(CONTROLS):
    values.reject(f"{name}-inside", get(b"X-A: b" + byte + b"c"))
for name, byte in each(b"\x00\x08\x0b\x0c\x1c\x7f"):
    values.reject(f"{name}-first", get(b"X-A:" + byte + b"c"))
    values.reject(f"{name}-last", get(b"X-A: c" + byte))
    values.reject(f"{name}-alone", get(b"X-A: " + byte))
    values.reject(f"{name}-in-cookie", get(b"Cookie: a=b" + byte))
    values.reject(f"{name}-in-connection", get(b"Connection: close" + byte))
values.reject("two-authorizations", get(b"Authorization: Basic dTpw", b"Authorization: Basic dTpx"))

folds = Family("fold")
for name, raw in {
    "space": get(b"X-A: b", b" c"),
    "tab": get(b"X-A: b", b"\tc"),
    "many-spaces": get(b"X-A: b", b"        c"),
    "three-lines": get(b"X-A: b", b" c", b" d"),
    "after-the-colon": get(b"X-A:", b" c"),
    "empty": get(b"X-A: b", b" "),
    "empty-tab": get(b"X-A: b", b"\t"),
    "first-line": lines(b"GET /p HTTP/1.1", b" X-A: b", HOST),
    "first-line-tab": lines(b"GET /p HTTP/1.1", b"\tX-A: b", HOST),
    "first-line-host": lines(b"GET /p HTTP/1.1", b" Host: example.com"),
    "last": get(b"X-A: b", b" c"),
    "host": lines(b"GET /p HTTP/1.1", b"Host: example.com", b" evil.test"),
    "host-value": lines(b"GET /p HTTP/1.1", b"Host:", b" example.com"),
    "length": post(b"Content-Length:", b" 5", body=b"hello"),
    "length-digits": post(b"Content-Length: 5", b" 0", body=b"hello"),
    "coding": post(b"Transfer-Encoding:", b" chunked", body=chunks(b"hello")),
    "coding-list": post(b"Transfer-Encoding: gzip,", b" chunked", body=chunks(b"hello")),
    "coding-word": post(b"Transfer-Encoding: chun", b" ked", body=chunks(b"hello")),
    "looks-like-coding": post(b"X-A: b", b" Transfer-Encoding: chunked", b"Content-Length: 5", body=b"hello"),
    "looks-like-length": post(b"X-A: b", b"\tContent-Length: 5", body=b"hello"),
    "looks-like-host": get(b"X-A: b", b" Host: evil.test"),
    "connection": get(b"Connection: keep-alive,", b" close"),
    "request-line": b"GET /p\r\n HTTP/1.1\r\nHost: example.com\r\n\r\n",
}.items():
    folds.reject(name, raw)

expectations = Family("expect")
for value in (
    b"200-ok",
    b"100-continue2",
    b"100continue",
    b"100",
    b"100-continue, 200-ok",
    b"100-continue;q=1",
    b"x",
    b'"100-continue"',
    b"100 continue",
):
    expectations.reject(label(value), post(b"Expect: " + value, b"Content-Length: 5", body=b"hello"), statuses(417))
    expectations.reject(f"{label(value)}-without-body", get(b"Expect: " + value), statuses(417))
expectations.reject(
    "two-lines", post(b"Expect: 100-continue", b"Expect: x", b"Content-Length: 5", body=b"hello"), statuses(417)
)

CASES: list[Case] = [
    *line_ends.cases,
    *request_line.cases,
    *methods.cases,
    *versions.cases,
    *targets.cases,
    *hosts.cases,
    *names.cases,
    *values.cases,
    *folds.cases,
    *expectations.cases,
]
