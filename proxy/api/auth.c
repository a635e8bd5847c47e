/* auth: is this caller's key one of ours? */
#include "proxy/api/auth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/file.h"

#define KEYS_MAX 1000 /* each request is compared with every key, in constant time */

struct auth {
	char **keys;
	size_t count;
};

static int
add_key(struct auth *a, const char *key, struct err *err)
{
	char **grown;

	if (a->count == KEYS_MAX)
		return err_set(err, -E2BIG, "more than %d API keys", KEYS_MAX);
	grown = realloc(a->keys, (a->count + 1) * sizeof(*grown));
	if (grown == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	a->keys = grown;
	grown[a->count] = strdup(key);
	if (grown[a->count] == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	a->count++;
	return 0;
}

static int
add_key_file(struct auth *a, const char *path, struct err *err)
{
	AUTO_FREE char *key = NULL;
	int r = file_read_secret(&key, path, err);

	if (r < 0)
		return r;
	if (key[0] == '\0')
		return err_set(err, -EINVAL, "%s: the key file is empty", path);
	return add_key(a, key, err);
}

/* One key a line; blank lines and lines with # are passed over. */
static int
add_keys_file(struct auth *a, const char *path, struct err *err)
{
	AUTO_FREE char *text = NULL;
	size_t before = a->count;
	char *rest = NULL;
	int r = file_read_secret(&text, path, err);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\r\n", &rest)) {
		line += strspn(line, " \t");
		line[strcspn(line, " \t")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		r = add_key(a, line, err);
		if (r < 0)
			return r;
	}
	return a->count > before ? 0 : err_set(err, -EINVAL, "%s: it holds no key", path);
}

int
auth_new(struct auth **out, const struct settings *s, struct err *err)
{
	struct auth *a = calloc(1, sizeof(*a));
	int r = 0;

	if (a == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (s->api_key != NULL)
		r = add_key(a, s->api_key, err);
	if (r == 0 && s->api_key_file != NULL)
		r = add_key_file(a, s->api_key_file, err);
	if (r == 0 && s->api_keys_file != NULL)
		r = add_keys_file(a, s->api_keys_file, err);
	if (r < 0) {
		auth_free(a);
		return r;
	}
	*out = a;
	return 0;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->count; i++) {
		explicit_bzero(a->keys[i], strlen(a->keys[i]));
		free(a->keys[i]);
	}
	free(a->keys);
	free(a);
}

/* Looks at every byte of what was presented, whatever it finds. */
static bool
same(const char *key, const char *presented, size_t len)
{
	size_t key_len = strlen(key);
	unsigned char difference = key_len != len;

	for (size_t i = 0; i < len; i++)
		difference |= (unsigned char)(presented[i] ^ key[i % (key_len + 1)]);
	return difference == 0;
}

int
auth_key(const struct auth *a, const char *header)
{
	int found = -1;
	size_t len;

	if (a->count == 0)
		return 0;
	if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
		return -1;
	header += 7;
	header += strspn(header, " ");
	len = strlen(header);
	for (size_t i = 0; i < a->count; i++)
		if (same(a->keys[i], header, len) && found < 0)
			found = (int)i + 1;
	return found;
}
