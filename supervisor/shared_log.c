/* shared_log: the log files of all apps: one for each path, whoever writes into it. */
#include "supervisor/shared_log.h"

#include <string.h>

#include "common/log.h"

#define RETRY_MS 60000 /* a folder that was mounted late, a disk that has room again */

struct shared_log {
	char *path;
	struct log_file_spec spec; /* path is the one above */
	struct log_file *file;     /* NULL: cannot be opened */
	uint64_t retry_at_ms;
	unsigned users;
	struct shared_log *next;
};

static struct shared_log *all;

static void
try_open(struct shared_log *s)
{
	struct err err = {.code = 0};

	if (log_file_open(&s->file, &s->spec, &err) < 0)
		log_warning("%s; its lines are logged here, and it is tried again each minute",
		            err.text);
}

/* One that is open under this path, or is the same file under another one. */
static struct shared_log *
find(const struct shared_log *like)
{
	for (struct shared_log *s = all; s != NULL; s = s->next)
		if (strcmp(s->path, like->path) == 0 ||
		    (s->file != NULL && like->file != NULL && log_file_is(s->file, like->file)))
			return s;
	return NULL;
}

static void
let_go(struct shared_log *s)
{
	log_file_close(s->file);
	free(s->path);
	free(s);
}

static struct shared_log *
join(struct shared_log *s, const struct log_file_spec *spec)
{
	const char *path = s->path;

	s->users++;
	s->spec = *spec;
	s->spec.path = path;
	if (s->file != NULL)
		log_file_configure(s->file, &s->spec);
	return s;
}

struct shared_log *
shared_log_get(const struct log_file_spec *spec)
{
	struct shared_log *s = calloc(1, sizeof(*s)), *other;

	if (s == NULL || (s->path = strdup(spec->path)) == NULL) {
		free(s);
		return NULL;
	}
	other = find(s); /* by its path: before another descriptor is opened */
	if (other == NULL) {
		s->spec = *spec;
		s->spec.path = s->path;
		try_open(s);
		other = find(s);
	}
	if (other != NULL) {
		let_go(s);
		return join(other, spec);
	}
	s->users = 1;
	s->next = all;
	all = s;
	return s;
}

void
shared_log_put(struct shared_log *s)
{
	struct shared_log **at = &all;

	if (s == NULL || --s->users > 0)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	let_go(s);
}

bool
shared_log_is_open(const struct shared_log *s)
{
	return s->file != NULL;
}

bool
shared_log_write(struct shared_log *s, const char *line, size_t len, uint64_t now_ms)
{
	if (s->file == NULL) {
		if (s->retry_at_ms == 0)
			s->retry_at_ms = now_ms + RETRY_MS;
		if (now_ms < s->retry_at_ms)
			return false;
		s->retry_at_ms = now_ms + RETRY_MS;
		try_open(s);
		if (s->file == NULL)
			return false;
	}
	log_file_write(s->file, line, len, now_ms);
	return true;
}

size_t
shared_log_reopen_all(void)
{
	size_t count = 0;

	for (struct shared_log *s = all; s != NULL; s = s->next) {
		struct err err = {.code = 0};

		if (s->file == NULL)
			try_open(s);
		else if (log_file_reopen(s->file, &err) < 0)
			log_warning("%s; going on in the old file", err.text);
		count += s->file != NULL;
	}
	return count;
}
