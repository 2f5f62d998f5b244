/* Open-loop load and the server behind the proxy in one process and one loop: `pacer.py` compiles, starts and reads it.
 *
 *     pacer ORIGIN-PORT PROXY-PORT CONNECTIONS REQUEST-FILE DUE-FILE RESULT-FILE
 *
 * It answers requests on ORIGIN-PORT from the beginning. A byte on standard input lets the load begin: each request is
 * sent to PROXY-PORT when it is due (DUE-FILE: doubles, seconds from then), over whichever connection is free; where
 * none is, it waits, and its latency counts from when it was due all the same. RESULT-FILE gets two doubles a request:
 * its latency, negative where no whole answer came, and how late this program noticed that it was due; and, last of all,
 * how many connections were closed while nothing was asked on them.
 *
 * In C, and both ends in one loop, because a load in Python and a server beside it fill the core that they share at the
 * rates measured here: what was measured was how long they waited for each other.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_DESCRIPTORS 4096
#define PATIENCE 5.0 /* seconds after the last request is due within which answers still count */
#define UNANSWERED (-1.0)
#define FAILED (-2.0)

enum kind { UNUSED, BEGIN, LISTENER, SERVED, CLIENT };

struct connection {
    enum kind kind;
    long request; /* of a client: what it waits for, or -1 */
    int matched;  /* of a served one: how many bytes of the empty line that ends a head have come */
    size_t length;
    char data[16384]; /* of a client: what has come of its answer */
};

static struct connection connections[MOST_DESCRIPTORS];
static int idle[MOST_DESCRIPTORS], idle_count, poller, open_clients;
static double *due, *latency, *lag, started;
static long request_count, finished_count, closed_count;
static char *request_start, *request_rest;

static const char answer[] =
    "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Content-Length: 96\r\nConnection: keep-alive\r\nCache-Control: private, max-age=0\r\n"
    "Vary: Accept-Encoding, Cookie\r\nSet-Cookie: seen=1; Path=/; HttpOnly; SameSite=Lax\r\n"
    "X-Content-Type-Options: nosniff\r\n\r\n"
    "{\"id\": 4711, \"name\": \"a thing\", \"price\": \"12.50\", \"stock\": 17, \"tags\": [\"new\", \"blue\", \"round\"]}";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9 - started;
}

/* The whole file, with a zero behind it. */
static char *contents(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        die(path);
    *size = ftell(file);
    rewind(file);
    char *data = calloc(1, *size + 1);
    if (!data || fread(data, 1, *size, file) != *size)
        die(path);
    fclose(file);
    return data;
}

static void watch(int descriptor, enum kind kind)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (descriptor >= MOST_DESCRIPTORS) {
        fprintf(stderr, "more than %d descriptors\n", MOST_DESCRIPTORS);
        exit(1);
    }
    connections[descriptor].kind = kind;
    connections[descriptor].request = -1;
    connections[descriptor].matched = 0;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event))
        die("epoll_ctl");
}

static void forget(int descriptor)
{
    connections[descriptor].kind = UNUSED;
    close(descriptor);
}

static int on_loopback(int port, int listening)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0)
        die("socket");
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (listening ? bind(descriptor, (void *)&address, sizeof address) || listen(descriptor, 4096)
                  : connect(descriptor, (void *)&address, sizeof address))
        die(listening ? "listening" : "connecting to the proxy");
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    return descriptor;
}

/* Answer each request whose head has come to its end. */
static void serve(int descriptor)
{
    static const char end[] = "\r\n\r\n";
    static char data[65536];
    struct connection *connection = &connections[descriptor];
    ssize_t size = recv(descriptor, data, sizeof data, 0);
    if (size <= 0) {
        if (!size || (errno != EAGAIN && errno != EINTR))
            forget(descriptor);
        return;
    }
    for (ssize_t place = 0; place < size; place++) {
        if (data[place] == end[connection->matched])
            connection->matched++;
        else
            connection->matched = data[place] == '\r';
        if (connection->matched == 4) {
            connection->matched = 0;
            if (send(descriptor, answer, sizeof answer - 1, MSG_NOSIGNAL) != sizeof answer - 1) {
                forget(descriptor);
                return;
            }
        }
    }
}

static void fail(int descriptor)
{
    struct connection *connection = &connections[descriptor];
    if (connection->request >= 0) {
        latency[connection->request] = FAILED;
        finished_count++;
    } else {
        for (int place = 0; place < idle_count; place++)
            if (idle[place] == descriptor)
                idle[place--] = idle[--idle_count];
        closed_count++;
    }
    open_clients--;
    forget(descriptor);
}

/* 1: the answer is whole; 0: not yet; -1: it is not what was asked for. */
static int whole(struct connection *connection)
{
    connection->data[connection->length] = 0;
    char *end = strstr(connection->data, "\r\n\r\n");
    if (!end)
        return connection->length + 1 < sizeof connection->data ? 0 : -1;
    char *field = strcasestr(connection->data, "\r\ncontent-length:");
    if (strncmp(connection->data, "HTTP/1.1 200", 12) || !field || field > end)
        return -1;
    size_t wanted = end + 4 - connection->data + strtoul(field + 17, NULL, 10);
    return connection->length < wanted ? 0 : connection->length > wanted ? -1 : 1;
}

static void receive(int descriptor)
{
    struct connection *connection = &connections[descriptor];
    ssize_t size =
        recv(descriptor, connection->data + connection->length, sizeof connection->data - 1 - connection->length, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0 || connection->request < 0) {
        fail(descriptor);
        return;
    }
    connection->length += size;
    int state = whole(connection);
    if (state < 0) {
        fail(descriptor);
    } else if (state) {
        latency[connection->request] = now() - due[connection->request];
        connection->request = -1;
        finished_count++;
        idle[idle_count++] = descriptor;
    }
}

static void ask(long number)
{
    char head[16384]; /* with a small body */
    int descriptor = idle[--idle_count];
    connections[descriptor].request = number;
    connections[descriptor].length = 0;
    int size = snprintf(head, sizeof head, "%s%ld%s", request_start, number, request_rest);
    if (size >= (int)sizeof head || send(descriptor, head, size, MSG_NOSIGNAL) != size)
        fail(descriptor);
}

/* Take what has come; wait for it at most so many seconds. */
static int take(double seconds)
{
    struct epoll_event events[256];
    int begin = 0, count = epoll_wait(poller, events, 256, 0);
    if (!count && seconds > 0) {
        struct pollfd readable = {.fd = poller, .events = POLLIN};
        struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (time_t)seconds) * 1e9)};
        ppoll(&readable, 1, &time, NULL);
        count = epoll_wait(poller, events, 256, 0);
    }
    for (int place = 0; place < count; place++) {
        int descriptor = events[place].data.fd, accepted;
        switch (connections[descriptor].kind) {
        case BEGIN:
            begin = 1;
            break;
        case LISTENER:
            if ((accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                int yes = 1;
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                watch(accepted, SERVED);
            }
            break;
        case SERVED:
            serve(descriptor);
            break;
        case CLIENT:
            receive(descriptor);
            break;
        case UNUSED:
            break;
        }
    }
    return begin;
}

static void load(void)
{
    long noticed = 0, sent = 0;
    double end = (request_count ? due[request_count - 1] : 0) + PATIENCE;
    started += now();
    for (double moment = 0; finished_count < request_count && moment < end && open_clients;) {
        moment = now();
        for (; noticed < request_count && due[noticed] <= moment; noticed++)
            lag[noticed] = moment - due[noticed];
        while (sent < noticed && idle_count)
            ask(sent++);
        take(noticed < request_count ? due[noticed] - now() : 0.05);
    }
}

int main(int count, char **words)
{
    size_t size;
    if (count != 7) {
        fprintf(stderr, "pacer: six words are needed, see its source\n");
        return 2;
    }
    poller = epoll_create1(0);
    prctl(PR_SET_TIMERSLACK, 1); /* waits end when they should, not up to 50 us later */
    if (setpriority(PRIO_PROCESS, 0, -20) && errno != EACCES && errno != EPERM) /* for root alone */
        die("setpriority");
    request_start = contents(words[4], &size);
    request_rest = request_start + strlen(request_start) + 1; /* the file has a zero between the two */
    due = (double *)contents(words[5], &size);
    request_count = size / sizeof *due;
    latency = calloc(request_count * 2 + 1, sizeof *latency);
    lag = latency + request_count; /* behind them: the connections that were closed */
    for (long number = 0; number < request_count; number++)
        latency[number] = UNANSWERED;
    watch(0, BEGIN);
    watch(on_loopback(atoi(words[1]), 1), LISTENER);
    while (!take(1))
        ;
    epoll_ctl(poller, EPOLL_CTL_DEL, 0, NULL);
    for (int number = 0; number < atoi(words[3]); number++) {
        int descriptor = on_loopback(atoi(words[2]), 0);
        watch(descriptor, CLIENT);
        idle[idle_count++] = descriptor;
        open_clients++;
    }
    load();
    lag[request_count] = closed_count;
    size = request_count * 2 + 1;
    FILE *result = fopen(words[6], "wb");
    if (!result || fwrite(latency, sizeof *latency, size, result) != size || fclose(result))
        die(words[6]);
    return 0;
}
