// The floor: an echo server without any protocol. One thread, one epoll, recv() and send() of the same bytes. What
// it costs for a message is what the kernel asks of every server; the rest is the server's own.
//
//     cc -O2 -o floor floor.c && ./floor 9000
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, EVENTS = 1024, MAX_FDS = 1 << 20 };

// What a socket has not taken yet. Nothing more is received from it before this is gone.
static struct rest { char *bytes; size_t length, sent; } rests[MAX_FDS];
static char buffer[BUFFER];

static void fail(const char *doing) { perror(doing); exit(1); }

static void watch(int poll, int how, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poll, how, fd, &event) < 0) fail("epoll_ctl");
}

static void drop(int fd) {
    free(rests[fd].bytes);
    rests[fd] = (struct rest){0};
    close(fd);
}

// Bytes that the socket took, or -1 if it is broken.
static ssize_t send_some(int fd, const char *bytes, size_t length) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void echo(int poll, int fd) {
    ssize_t length = recv(fd, buffer, BUFFER, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    ssize_t sent = length > 0 ? send_some(fd, buffer, length) : -1;
    if (sent < 0) { drop(fd); return; }
    if (sent == length) return;
    struct rest *rest = &rests[fd];
    *rest = (struct rest){malloc(length - sent), length - sent, 0};
    if (!rest->bytes) fail("malloc");
    __builtin_memcpy(rest->bytes, buffer + sent, rest->length);
    watch(poll, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void send_rest(int poll, int fd) {
    struct rest *rest = &rests[fd];
    ssize_t sent = send_some(fd, rest->bytes + rest->sent, rest->length - rest->sent);
    if (sent < 0) { drop(fd); return; }
    rest->sent += sent;
    if (rest->sent < rest->length) return;
    free(rest->bytes);
    *rest = (struct rest){0};
    watch(poll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(int argc, char **argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0, one = 1;
    if (port <= 0 || port > 65535) { fprintf(stderr, "usage: %s PORT\n", argv[0]); return 2; }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    if (listener < 0 || poll < 0) fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) fail("listen");
    watch(poll, EPOLL_CTL_ADD, listener, EPOLLIN);
    static struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (rests[fd].bytes) send_rest(poll, fd); else echo(poll, fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MAX_FDS) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                watch(poll, EPOLL_CTL_ADD, fd, EPOLLIN);
            }
        }
    }
}
