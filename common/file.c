/* file: the few file operations that programs here share. */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET_MAX ((size_t)1 << 20) /* a file of API keys; a key itself is a line */
#define FIRST_READ ((size_t)4 << 10)

/* --- reading -------------------------------------------------------------------------------- */

/* Reads to the end. The size that stat tells is a guess only: pipes and /proc have none. */
static int
read_all(int fd, char **out, size_t *len, size_t max_bytes)
{
	AUTO_FREE char *text = NULL;
	size_t used = 0, cap = FIRST_READ;
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size > 0 && (uintmax_t)st.st_size <= max_bytes)
		cap = (size_t)st.st_size + 1;
	for (;;) {
		char *grown = realloc(text, cap + 1);
		ssize_t n;

		if (grown == NULL)
			return -ENOMEM;
		text = grown;
		n = read(fd, text + used, cap - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max_bytes)
			return -EFBIG;
		if (used == cap)
			cap *= 2;
	}
	text[used] = '\0';
	*out = text;
	*len = used;
	text = NULL;
	return 0;
}

int
file_read(char **out, size_t *len, const char *path, size_t max_bytes, struct err *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r = fd < 0 ? -errno : read_all(fd, out, len, max_bytes);

	if (r == -EFBIG)
		return err_set(err, r, "%s: larger than %zu bytes", path, max_bytes);
	return r < 0 ? err_set(err, r, "%s: %s", path, strerror(-r)) : 0;
}

int
file_read_secret(char **out, const char *path, struct err *err)
{
	char *text;
	size_t len;
	int r = file_read(&text, &len, path, SECRET_MAX, err);

	if (r < 0)
		return r;
	if (memchr(text, '\0', len) != NULL) {
		explicit_bzero(text, len);
		free(text);
		return err_set(err, -EINVAL, "%s: not a text file", path);
	}
	while (len > 0 && strchr(" \t\r\n\v\f", text[len - 1]) != NULL)
		text[--len] = '\0';
	*out = text;
	return 0;
}

/* --- writing -------------------------------------------------------------------------------- */

static int
write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Makes a rename survive a power cut. Some file systems cannot, and the file is there anyway. */
static void
sync_folder_of(const char *path)
{
	AUTO_FREE char *dir = strdup(path);
	AUTO_FD int fd = -1;
	char *slash = dir != NULL ? strrchr(dir, '/') : NULL;

	if (dir == NULL)
		return;
	if (slash != NULL)
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)fsync(fd); /* see above */
}

int
file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	AUTO_FREE char *beside = NULL;
	AUTO_FD int fd = -1;
	int r = 0;

	if (asprintf(&beside, "%s.XXXXXX", path) < 0) {
		beside = NULL;
		return err_set(err, -ENOMEM, "%s: out of memory", path);
	}
	fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	r = write_all(fd, data, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(beside, path) < 0))
		r = -errno;
	if (r < 0) {
		(void)unlink(beside); /* the first error is the one to tell */
		return err_set(err, r, "%s: %s", path, strerror(-r));
	}
	sync_folder_of(path);
	return 0;
}

/* --- folders -------------------------------------------------------------------------------- */

static int
make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		/* a read-only or foreign folder on the way is fine as long as it is there */
		if (r < 0 && access(path, F_OK) < 0)
			return r; /* cut where it failed: the message names this folder */
		*slash = '/';
	}
	return 0;
}

int
file_make_dir(const char *path, mode_t mode, struct err *err)
{
	AUTO_FREE char *copy = strdup(path);
	AUTO_FD int fd = -1;
	struct stat st;
	int r;

	if (copy == NULL)
		return err_set(err, -ENOMEM, "%s: out of memory", path);
	if (path[0] == '\0')
		return err_set(err, -EINVAL, "a folder without a name");
	r = make_parents(copy);
	if (r < 0)
		return err_set(err, r, "%s: %s", copy, strerror(-r));
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s: belongs to user %u, not to us (user %u)", path,
		               (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}
