/* alert_memory: what the last alert was about, so that nobody is told the same again and again. */
#include "healthcheck/alert_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "common/file.h"
#include "common/json.h"
#include "common/paths.h"

#define MEMORY_MAX ((size_t)4096)

/* The folder is the supervisor's; where it is there already it stays as it is, whoever owns it. */
static int
open_in(const char *dir, const char *path, struct err *err)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, flags, 0600);

	if (fd < 0 && errno == ENOENT) {
		int r = file_make_dir(dir, 0700, err);

		if (r < 0)
			return r;
		fd = open(path, flags, 0600);
	}
	return fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : fd;
}

static void
read_it(struct alert_memory *m)
{
	char text[MEMORY_MAX];
	ssize_t n = pread(m->fd, text, sizeof(text), 0);
	json_auto_t *memory = n > 0 ? json_parse(text, (size_t)n, NULL) : NULL;
	const char *state = json_get_string(memory, "state");

	if (state == NULL || strlen(state) >= sizeof(m->state))
		return;
	(void)snprintf(m->state, sizeof(m->state), "%s", state);
	m->alerted_at = json_get_int(memory, "alerted_at", 0);
}

int
alert_memory_open(struct alert_memory *out, const char *dir, struct err *err)
{
	AUTO_FREE char *path = paths_join(dir, "auth-alert.json");
	struct alert_memory m = {.fd = -1};

	if (path == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	m.fd = open_in(dir, path, err);
	if (m.fd < 0)
		return m.fd;
	if (flock(m.fd, LOCK_EX | LOCK_NB) < 0) {
		int r = err_set(err, -errno, "%s: %s", path, strerror(errno));

		alert_memory_close(&m);
		return r;
	}
	read_it(&m);
	*out = m;
	return 0;
}

bool
alert_memory_is_due(const struct alert_memory *m, const char *state, int64_t now,
                    int64_t repeat_seconds)
{
	if (strcmp(m->state, state) != 0 || m->alerted_at <= 0)
		return true;
	/* one of the future: the clock has been wrong */
	return m->alerted_at > now || (repeat_seconds > 0 && now - m->alerted_at >= repeat_seconds);
}

/* In place, since the lock is on this very file. Half a text, after a power cut, is an alert too
 * much at worst. */
int
alert_memory_note(struct alert_memory *m, const char *state, int64_t alerted_at, struct err *err)
{
	json_auto_t *memory =
		json_pack("{s:s, s:I}", "state", state, "alerted_at", (json_int_t)alerted_at);
	AUTO_FREE char *text = memory != NULL ? json_to_text(memory, NULL) : NULL;
	size_t len;

	if (text == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	len = strlen(text);
	if (ftruncate(m->fd, 0) < 0 || pwrite(m->fd, text, len, 0) != (ssize_t)len)
		return err_set(err, errno != 0 ? -errno : -EIO, "auth-alert.json: %s",
		               strerror(errno));
	return 0;
}

void
alert_memory_close(struct alert_memory *m)
{
	if (m->fd >= 0)
		(void)close(m->fd); /* unlocks it; what was written has been checked */
	m->fd = -1;
}
