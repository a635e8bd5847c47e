/* start_client: starts a server, and tells how many ms it took until GET PATH is answered 200; then
 * ends it.
 *
 *   start-client PORT PATH PROGRAM [ARG]... */
#include <arpa/inet.h>
#include <err.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/figures.h"

#define DEADLINE_NS 20000000000
#define PAUSE_US    100 /* between two tries */

static bool
is_ready(uint16_t port, const char *path)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[512];
	ssize_t n = 0;
	int len;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		err(70, "socket");
	len = snprintf(text, sizeof(text),
	               "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    send(fd, text, (size_t)len, MSG_NOSIGNAL) == len)
		n = recv(fd, text, sizeof(text), 0);
	(void)close(fd);
	return n > 12 && memcmp(text, "HTTP/1.1 200", 12) == 0;
}

int
main(int argc, char **argv)
{
	uint64_t begin, took;
	uint16_t port;
	pid_t pid;
	int status;

	if (argc < 4)
		errx(64, "usage: start-client PORT PATH PROGRAM [ARG]...");
	port = (uint16_t)strtoul(argv[1], NULL, 10);
	begin = clock_ns();
	if (posix_spawnp(&pid, argv[3], NULL, NULL, argv + 3, environ) != 0)
		errx(1, "cannot start %s", argv[3]);
	while (!is_ready(port, argv[2])) {
		if (clock_ns() - begin > DEADLINE_NS || waitpid(pid, &status, WNOHANG) != 0) {
			(void)kill(pid, SIGKILL);
			errx(1, "%s did not become ready", argv[3]);
		}
		(void)usleep(PAUSE_US);
	}
	took = clock_ns() - begin;
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, &status, 0);
	print_line(json_pack("{s:f}", "ready_ms", (double)took / 1e6));
	return 0;
}
