/* response_store: the latest responses, in memory. */
#include "proxy/api/response_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/json.h"

/* Each takes up to 80 bytes when it is parsed again. */
#define VALUES_MAX 500000

struct kept {
	char *id;
	int caller;
	char *response;
	size_t response_len;
	char *items;
	size_t items_len;
	UT_hash_handle hh; /* in the order they came */
};

struct response_store {
	struct kept *all;
	size_t bytes;
	size_t max_bytes;
};

struct response_store *
response_store_new(size_t max_bytes)
{
	struct response_store *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->max_bytes = max_bytes;
	return s;
}

static void
kept_free(struct kept *k)
{
	free(k->id);
	free(k->response);
	free(k->items);
	free(k);
}

static size_t
size_of(const struct kept *k)
{
	return sizeof(*k) + strlen(k->id) + k->response_len + k->items_len;
}

static void
drop(struct response_store *s, struct kept *k)
{
	s->bytes -= size_of(k);
	HASH_DEL(s->all, k);
	kept_free(k);
}

void
response_store_free(struct response_store *s)
{
	if (s == NULL)
		return;
	while (s->all != NULL)
		drop(s, s->all);
	free(s);
}

/* NULL: no memory, or no id. */
static struct kept *
kept_new(int caller, const json_t *response, const json_t *items)
{
	const char *id = json_get_string(response, "id");
	struct kept *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->caller = caller;
	k->id = id != NULL ? strdup(id) : NULL;
	k->response = json_to_text(response, &k->response_len);
	k->items = json_to_text(items, &k->items_len);
	if (k->id != NULL && k->response != NULL && k->items != NULL)
		return k;
	kept_free(k);
	return NULL;
}

void
response_store_put(struct response_store *s, int caller, const json_t *response,
                   const json_t *items)
{
	struct kept *k;

	if (s == NULL || s->max_bytes == 0)
		return;
	k = kept_new(caller, response, items);
	if (k == NULL)
		return;
	if (size_of(k) > s->max_bytes || json_count_values(k->items, k->items_len) > VALUES_MAX) {
		kept_free(k);
		return;
	}
	while (s->all != NULL &&
	       (s->bytes + size_of(k) > s->max_bytes || HASH_COUNT(s->all) >= RESPONSE_STORE_MAX))
		drop(s, s->all);
	HASH_ADD_KEYPTR(hh, s->all, k->id, strlen(k->id), k);
	if (k->hh.tbl != NULL)
		s->bytes += size_of(k);
	else
		kept_free(k);
}

static struct kept *
find(const struct response_store *s, int caller, const char *id)
{
	struct kept *k = NULL;

	if (s != NULL)
		HASH_FIND_STR(s->all, id, k);
	return k != NULL && k->caller == caller ? k : NULL;
}

const char *
response_store_get(const struct response_store *s, int caller, const char *id, size_t *len)
{
	const struct kept *k = find(s, caller, id);

	if (k == NULL)
		return NULL;
	*len = k->response_len;
	return k->response;
}

json_t *
response_store_items(const struct response_store *s, int caller, const char *id)
{
	const struct kept *k = find(s, caller, id);

	return k != NULL ? json_parse(k->items, k->items_len, NULL) : NULL;
}

/* They are KIND_RESPONSE_NUMBER. */
bool
response_store_id_of_item(const char *item_id, char *out, size_t size)
{
	const char *from = strchr(item_id, '_');
	size_t len = from != NULL ? strcspn(from + 1, "_") : 0;

	return len > 0 && from[1 + len] == '_' &&
	       (size_t)snprintf(out, size, "resp_%.*s", (int)len, from + 1) < size;
}

bool
response_store_delete(struct response_store *s, int caller, const char *id)
{
	struct kept *k = find(s, caller, id);

	if (k != NULL)
		drop(s, k);
	return k != NULL;
}
