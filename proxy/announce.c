/* announce: tells whoever started us, other than our supervisor, that we are ready. */
#include "proxy/announce.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "proxy/service_manager.h"

/* The channel is a socket that speaks JSON, one message a line. */
static void
tell_node(void)
{
	static const char message[] = "\"ready\"\n";
	const char *text = getenv("NODE_CHANNEL_FD");
	char *end;
	long fd;

	if (text == NULL || text[0] == '\0')
		return;
	errno = 0;
	fd = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || fd < 3 || fd > 1023)
		return;
	if (send((int)fd, message, sizeof(message) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_warning("NODE_CHANNEL_FD %ld: %s: it does not hear that we are ready", fd,
		            strerror(errno));
}

void
announce_ready(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	service_manager_notify("READY=1");
	tell_node();
}

void
announce_stopping(void)
{
	service_manager_notify("STOPPING=1");
}
