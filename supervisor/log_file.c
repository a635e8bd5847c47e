/* log_file: a file that lines are appended to, and that is put aside when it is big or old. */
#include "supervisor/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "common/file.h"
#include "common/log.h"

#define WARN_EVERY_MS 60000 /* a full disk is no reason to fill the log with it */
#define SUFFIX_MAX    24

struct log_file {
	char *path;
	int64_t max_bytes, interval_ms, retain;
	int fd;
	bool regular; /* a pipe or a device is not put aside */
	bool torn;    /* the last line lacks its end */
	int64_t size;
	int64_t written_ms; /* when the last line was written; only while size > 0 */
	uint64_t dropped;
	uint64_t untold;         /* of these: not told by number yet */
	uint64_t quiet_until_ms; /* no warning before */
	uint64_t told_until_ms;  /* no number before: a disk may be full at every other line */
	uint64_t no_rotation_until_ms;
};

/* --- opening -------------------------------------------------------------------------------- */

/* O_NONBLOCK: for pipes; a regular file does not know it. */
static int
open_append(const char *path)
{
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);

	return fd >= 0 ? fd : -errno;
}

static int
make_folder_of(const char *path, struct err *err)
{
	AUTO_FREE char *dir = strdup(path);
	char *slash = dir != NULL ? strrchr(dir, '/') : NULL;

	if (dir == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (slash == NULL || slash == dir)
		return 0; /* here, or at the root */
	*slash = '\0';
	return file_make_dir(dir, 0750, err);
}

/* The old file stays open when there is no new one. */
static int
open_file(struct log_file *f, struct err *err)
{
	struct stat st;
	int fd = open_append(f->path);
	int r = 0;

	if (fd == -ENOENT)
		r = make_folder_of(f->path, err);
	if (r < 0)
		return r;
	if (fd == -ENOENT)
		fd = open_append(f->path);
	if (fd < 0)
		return err_set(err, fd, "%s: %s", f->path, strerror(-fd));
	if (fstat(fd, &st) < 0) {
		r = err_set(err, -errno, "%s: %s", f->path, strerror(errno));
		auto_close_(&fd);
		return r;
	}
	auto_close_(&f->fd);
	f->fd = fd;
	f->regular = S_ISREG(st.st_mode);
	f->size = f->regular ? st.st_size : 0;
	f->written_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	f->torn = false;
	return 0;
}

int
log_file_open(struct log_file **out, const struct log_file_spec *spec, struct err *err)
{
	struct log_file *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL || (f->path = strdup(spec->path)) == NULL) {
		free(f);
		return err_set(err, -ENOMEM, "out of memory");
	}
	f->fd = -1;
	log_file_configure(f, spec);
	r = open_file(f, err);
	if (r < 0) {
		log_file_close(f);
		return r;
	}
	*out = f;
	return 0;
}

void
log_file_configure(struct log_file *f, const struct log_file_spec *spec)
{
	f->max_bytes = spec->max_bytes;
	f->interval_ms = spec->interval_ms;
	f->retain = spec->retain;
}

bool
log_file_is(const struct log_file *f, const struct log_file *other)
{
	struct stat a, b;

	return f->regular && fstat(f->fd, &a) == 0 && fstat(other->fd, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int
log_file_reopen(struct log_file *f, struct err *err)
{
	return open_file(f, err);
}

static void
tell_lost(struct log_file *f)
{
	if (f->untold > 0)
		log_warning("%s: %llu lines were lost", f->path, (unsigned long long)f->untold);
	f->untold = 0;
}

void
log_file_close(struct log_file *f)
{
	if (f == NULL)
		return;
	tell_lost(f);
	auto_close_(&f->fd);
	free(f->path);
	free(f);
}

uint64_t
log_file_dropped(const struct log_file *f)
{
	return f->dropped;
}

/* --- putting aside -------------------------------------------------------------------------- */

static void
warn(struct log_file *f, uint64_t now_ms, const char *what, int code)
{
	if (now_ms < f->quiet_until_ms)
		return;
	f->quiet_until_ms = now_ms + WARN_EVERY_MS;
	log_warning("%s: %s: %s; going on, and saying so at most once a minute", f->path, what,
	            strerror(code));
}

/* Room for FILE.1: each older one moves on by one, the last one goes. 0 or negative errno. */
static int
make_room(const struct log_file *f)
{
	size_t size = strlen(f->path) + SUFFIX_MAX;
	AUTO_FREE char *from = malloc(size);
	AUTO_FREE char *to = malloc(size);
	int64_t last = 1;

	if (from == NULL || to == NULL)
		return -ENOMEM;
	/* up to the first gap: nothing beyond it has to move */
	for (; last < f->retain; last++) {
		(void)snprintf(to, size, "%s.%lld", f->path, (long long)last);
		if (access(to, F_OK) < 0)
			break;
	}
	for (; last > 1; last--) {
		(void)snprintf(from, size, "%s.%lld", f->path, (long long)last - 1);
		(void)snprintf(to, size, "%s.%lld", f->path, (long long)last);
		if (rename(from, to) < 0)
			return -errno;
	}
	return 0;
}

/* Fewer are kept than once: those up to the first gap go. */
static void
remove_older(const struct log_file *f)
{
	size_t size = strlen(f->path) + SUFFIX_MAX;
	AUTO_FREE char *name = malloc(size);

	for (int64_t i = f->retain + 1; name != NULL; i++) {
		(void)snprintf(name, size, "%s.%lld", f->path, (long long)i);
		if (unlink(name) < 0)
			return;
	}
}

static int
put_aside(struct log_file *f)
{
	size_t size = strlen(f->path) + SUFFIX_MAX;
	AUTO_FREE char *first = malloc(size);
	struct err err;
	int r;

	if (first == NULL)
		return -ENOMEM;
	remove_older(f);
	if (f->retain == 0) {
		if (unlink(f->path) < 0 && errno != ENOENT)
			return -errno;
		return open_file(f, &err);
	}
	r = make_room(f);
	if (r < 0)
		return r;
	(void)snprintf(first, size, "%s.1", f->path);
	if (rename(f->path, first) < 0 && errno != ENOENT) /* somebody else was faster */
		return -errno;
	return open_file(f, &err);
}

static bool
is_due(const struct log_file *f, size_t more, uint64_t now_ms)
{
	if (!f->regular || f->size == 0 || now_ms < f->no_rotation_until_ms)
		return false;
	if (f->max_bytes > 0 && f->size + (int64_t)more > f->max_bytes)
		return true;
	return f->interval_ms > 0 &&
	       (int64_t)now_ms / f->interval_ms > f->written_ms / f->interval_ms;
}

/* --- writing -------------------------------------------------------------------------------- */

void
log_file_write(struct log_file *f, const char *line, size_t len, uint64_t now_ms)
{
	static char newline[] = "\n";
	struct iovec parts[3];
	int count = 0, r;
	size_t whole = 0;
	ssize_t n;

	if (is_due(f, len + 1, now_ms)) {
		r = put_aside(f);
		if (r < 0) {
			/* it grows on: better than to lose lines */
			warn(f, now_ms, "cannot be put aside", -r);
			f->no_rotation_until_ms = now_ms + WARN_EVERY_MS;
		}
	}
	if (f->torn)
		parts[count++] = (struct iovec){.iov_base = newline, .iov_len = 1};
	parts[count++] = (struct iovec){.iov_base = (char *)(uintptr_t)line, .iov_len = len};
	parts[count++] = (struct iovec){.iov_base = newline, .iov_len = 1};
	for (int i = 0; i < count; i++)
		whole += parts[i].iov_len;
	do
		n = writev(f->fd, parts, count); /* one call: lines of two writers never mix */
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		f->size += n;
		f->written_ms = (int64_t)now_ms;
		f->torn = (size_t)n < whole;
	}
	if (n == (ssize_t)whole) {
		if (f->untold > 0 && now_ms >= f->told_until_ms) {
			f->told_until_ms = now_ms + WARN_EVERY_MS;
			tell_lost(f);
		}
		return;
	}
	f->dropped++;
	f->untold++;
	warn(f, now_ms, "lines are lost", n < 0 ? errno : ENOSPC);
}
