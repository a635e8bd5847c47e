/* lws_orphans: the poll handles that libwebsockets forgets. */
#include "proxy/codex/lws_orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static void
on_orphan_closed(uv_handle_t *handle)
{
	free(handle);
}

static void
close_orphan(uv_handle_t *handle, void *arg)
{
	uv_os_fd_t fd;

	if (handle->type == UV_POLL && !uv_is_active(handle) && !uv_is_closing(handle) &&
	    uv_fileno(handle, &fd) == 0 && fcntl(fd, F_GETFD) < 0 && errno == EBADF)
		uv_close(handle, on_orphan_closed);
}

void
lws_orphans_close(uv_loop_t *loop)
{
	uv_walk(loop, close_orphan, NULL);
}
