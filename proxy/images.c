/* images: those that a conversation only names by an https URL are fetched. */
#include "proxy/images.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/json.h"
#include "proxy/fetch.h"

#define FETCH_TIMEOUT_MS 10000
#define DATA_URL_MAX     ((size_t)64 << 20) /* codex takes no longer message */

struct image {
	struct images_job *job;
	struct fetch *fetch; /* NULL: not begun, or over */
	json_t *part;        /* borrowed from job->items */
};

/* The images of one conversation, and all who wait for them: the turns of its copies. */
struct images_job {
	struct images_job *prev, *next;
	struct images *owner;
	json_t *items;
	struct images_wait *waits;
	size_t budget; /* bytes that may still come */
	bool ending;
	size_t left; /* images */
	size_t count;
	struct image images[IMAGES_MAX];
};

struct images {
	struct images_config config;
	struct fetcher *fetcher;
	struct images_job *jobs;
};

int
images_new(struct images **out, const struct images_config *config, struct err *err)
{
	const struct fetcher_config fetcher = {.loop = config->loop,
	                                       .hosts = config->hosts,
	                                       .ca_file = config->ca_file,
	                                       .timeout_ms = FETCH_TIMEOUT_MS};
	struct images *all = calloc(1, sizeof(*all));
	int r;

	if (all == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	all->config = *config;
	r = fetcher_new(&all->fetcher, &fetcher, err);
	if (r < 0) {
		free(all);
		return r;
	}
	*out = all;
	return 0;
}

void
images_close(struct images *all)
{
	if (all == NULL)
		return;
	assert(all->jobs == NULL);
	fetcher_close(all->fetcher);
	free(all);
}

/* --- what a job comes to ---------------------------------------------------------------------- */

/* Ends it: no transfer runs any more, nobody waits. */
static void
job_free(struct images_job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->images[i].fetch != NULL)
			fetch_cancel(job->images[i].fetch);
	DL_DELETE(job->owner->jobs, job);
	json_decref(job->items);
	free(job);
}

static void
job_end(struct images_job *job, const struct failure *failure)
{
	job->ending = true;
	while (job->waits != NULL) {
		struct images_wait *wait = job->waits;

		DL_DELETE(job->waits, wait);
		wait->job = NULL;
		wait->fn(wait->arg, failure); /* may make others leave */
	}
	job_free(job);
}

void
images_leave(struct images_wait *wait)
{
	struct images_job *job = wait->job;

	if (job == NULL)
		return;
	DL_DELETE(job->waits, wait);
	wait->job = NULL;
	if (job->waits == NULL && !job->ending)
		job_free(job);
}

/* --- one image -------------------------------------------------------------------------------- */

static void
set_failure(struct failure *failure, const json_t *part, const char *why)
{
	const char *param = json_get_string(part, "param");

	failure_set(failure, FAILURE_INVALID_REQUEST, "Invalid '%s': the image is not fetched: %s.",
	            param, why);
	(void)snprintf(failure->upstream_param, sizeof(failure->upstream_param), "%s", param);
	(void)snprintf(failure->upstream_code, sizeof(failure->upstream_code), "invalid_image_url");
}

/* What the bytes are, whatever the host says of them; NULL: none that a model takes. */
static const char *
type_of(const char *bytes, size_t len)
{
	static const struct {
		const char *type;
		const char *bytes;
		size_t len;
		size_t at;
	} signatures[] = {
		{"png",  "\x89PNG\r\n\x1a\n", 8, 0},
		{"jpeg", "\xff\xd8\xff",      3, 0},
		{"gif",  "GIF87a",            6, 0},
		{"gif",  "GIF89a",            6, 0},
		{"webp", "WEBP",              4, 8},
	};

	for (size_t i = 0; i < NELEM(signatures); i++)
		if (len >= signatures[i].at + signatures[i].len &&
		    memcmp(bytes + signatures[i].at, signatures[i].bytes, signatures[i].len) == 0 &&
		    (signatures[i].at == 0 || memcmp(bytes, "RIFF", 4) == 0))
			return signatures[i].type;
	return NULL;
}

/* NULL: no memory. */
static json_t *
data_url(const char *type, const char *bytes, size_t len)
{
	size_t size = 32 + (len + 2) / 3 * 4 + 1;
	char *text = malloc(size);
	json_t *url = NULL;
	int head, n;

	if (text == NULL)
		return NULL;
	head = snprintf(text, size, "data:image/%s;base64,", type);
	n = lws_b64_encode_string(bytes, (int)len, text + head, (int)(size - (size_t)head));
	if (n >= 0)
		url = json_stringn_nocheck(text, (size_t)head + (size_t)n);
	free(text);
	return url;
}

static void
on_fetched(void *arg, const char *why, const char *bytes, size_t len)
{
	struct image *image = arg;
	struct images_job *job = image->job;
	const char *type = why == NULL ? type_of(bytes, len) : NULL;
	struct failure failure;

	image->fetch = NULL;
	if (why == NULL && type == NULL)
		why = "it is neither PNG, JPEG, GIF nor WebP";
	if (why != NULL) {
		set_failure(&failure, image->part, why);
		job_end(job, &failure);
		return;
	}
	if (json_object_set_new(image->part, "image_url", data_url(type, bytes, len)) != 0) {
		failure_set(&failure, FAILURE_INTERNAL, "Out of memory.");
		job_end(job, &failure);
		return;
	}
	(void)json_object_del(image->part, "param"); /* it is there */
	if (--job->left == 0)
		job_end(job, NULL);
}

/* --- a conversation --------------------------------------------------------------------------- */

/* Parts that are to be fetched have a param. The number of them; as many as fit are put into parts.
 */
static size_t
find_parts(const struct conversation *c, json_t **parts, size_t max)
{
	const json_t *item;
	json_t *part;
	size_t i, k, count = 0;

	json_array_foreach(c->items, i, item) {
		const json_t *content = json_object_get(item, "content");

		if (content == NULL)
			content = json_object_get(item, "output");
		json_array_foreach(content, k, part) {
			if (json_get_string(part, "param") == NULL)
				continue;
			if (count < max)
				parts[count] = part;
			count++;
		}
	}
	return count;
}

static struct images_job *
find_job(struct images *all, const struct conversation *c)
{
	struct images_job *job;

	DL_FOREACH(all->jobs, job)
		if (job->items == c->items)
			return job;
	return NULL;
}

/* Base64 makes four bytes of three. */
static size_t
first_budget(const struct images *all)
{
	size_t max = all->config.max_bytes < DATA_URL_MAX ? all->config.max_bytes : DATA_URL_MAX;

	return max / 4 * 3;
}

/* NULL: *failure says why not. */
static struct images_job *
begin_job(struct images *all, const struct conversation *c, json_t **parts, size_t count,
          struct failure *failure)
{
	struct images_job *job = calloc(1, sizeof(*job));
	const char *why = NULL;

	if (job == NULL) {
		failure_set(failure, FAILURE_INTERNAL, "Out of memory.");
		return NULL;
	}
	job->owner = all;
	job->items = json_incref(c->items);
	job->budget = first_budget(all);
	job->left = job->count = count;
	DL_APPEND(all->jobs, job);
	for (size_t i = 0; i < count && why == NULL; i++) {
		struct image *image = &job->images[i];

		*image = (struct image){.job = job, .part = parts[i]};
		why = fetch_start(&image->fetch, all->fetcher,
		                  json_get_string(parts[i], "image_url"), &job->budget, on_fetched,
		                  image);
		if (why != NULL)
			set_failure(failure, parts[i], why);
	}
	if (why == NULL)
		return job;
	job_free(job);
	return NULL;
}

enum images_answer
images_fetch(struct images *all, struct conversation *c, struct images_wait *wait, images_fn fn,
             void *arg, struct failure *failure)
{
	json_t *parts[IMAGES_MAX];
	size_t count = find_parts(c, parts, IMAGES_MAX);
	struct images_job *job;

	if (count == 0)
		return IMAGES_READY;
	if (all == NULL || count > IMAGES_MAX) {
		set_failure(failure, parts[0],
		            all == NULL
		                    ? "this server fetches none (CODEX_IMAGE_FETCH_HOSTS), only "
		                      "base64 data URLs are taken"
		                    : "more than 16 are to be fetched");
		return IMAGES_FAILED;
	}
	job = find_job(all, c);
	if (job == NULL)
		job = begin_job(all, c, parts, count, failure);
	if (job == NULL)
		return IMAGES_FAILED;
	*wait = (struct images_wait){.job = job, .fn = fn, .arg = arg};
	DL_APPEND(job->waits, wait);
	return IMAGES_COMING;
}
