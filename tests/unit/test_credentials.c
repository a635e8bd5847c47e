/* Whose login is in auth.json, and when that changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/common.h"
#include "common/log.h"
#include "supervisor/codex/credentials.h"
#include "tests/unit/patience.h"

#define PATIENCE_MS 20000
#define QUIET_MS    600 /* more than the debounce: what was to come has come */

#define CHATGPT(account, token)                                                                    \
	"{\"auth_mode\":\"chatgpt\",\"OPENAI_API_KEY\":null,\"tokens\":{\"access_token\":\"" token \
	"\",\"refresh_token\":\"r-" token "\",\"account_id\":\"" account "\"}}"
#define API_KEY(key) "{\"auth_mode\":\"apikey\",\"OPENAI_API_KEY\":\"" key "\"}"

/* --- what is in it -------------------------------------------------------------------------- */

static char *
identity_of(const char *text)
{
	bool chatgpt;
	char *identity;

	if (credentials_identify(&identity, &chatgpt, text, strlen(text)) < 0)
		return NULL;
	assert_int_equal(chatgpt, strstr(text, "tokens") != NULL && strstr(text, "apikey") == NULL);
	return identity;
}

static bool
same(const char *a, const char *b)
{
	AUTO_FREE char *of_a = identity_of(a), *of_b = identity_of(b);

	assert_non_null(of_a);
	assert_non_null(of_b);
	return strcmp(of_a, of_b) == 0;
}

static void
new_tokens_are_the_same_login(void **state)
{
	assert_true(same(CHATGPT("a", "1"), CHATGPT("a", "2")));
	assert_true(same(API_KEY("k"), "{\"OPENAI_API_KEY\":\"k\"}")); /* as it was once written */
}

static void
another_account_key_or_mode_is_another_login(void **state)
{
	assert_false(same(CHATGPT("a", "1"), CHATGPT("b", "1")));
	assert_false(same(API_KEY("k"), API_KEY("l")));
	assert_false(same(API_KEY("k"), CHATGPT("a", "1")));
	/* codex goes by the mode, whatever else is left in the file */
	assert_false(same(CHATGPT("", "1"), "{\"auth_mode\":\"apikey\",\"OPENAI_API_KEY\":\"k\","
	                                    "\"tokens\":{\"access_token\":\"1\"}}"));
}

static void
what_holds_no_login_is_none(void **state)
{
	static const char *const texts[] = {"",
	                                    "{",
	                                    "[]",
	                                    "7",
	                                    "{}",
	                                    "{\"tokens\":null}",
	                                    "{\"auth_mode\":\"chatgpt\",\"tokens\":3}",
	                                    "{\"auth_mode\":\"apikey\"}"};

	for (size_t i = 0; i < NELEM(texts); i++)
		assert_null(identity_of(texts[i]));
}

/* --- when it changes ------------------------------------------------------------------------ */

static uv_loop_t loop;
static uv_timer_t clock_;
static bool late;
static char dir[64];
static struct credentials *credentials;
static struct {
	unsigned count, others;
} news;

static void
on_news(void *arg, bool other_login)
{
	news.count++;
	news.others += other_login;
}

static const char *
in_dir(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
on_clock(uv_timer_t *timer)
{
	late = true;
}

static void
run_until_news(unsigned count)
{
	late = false;
	(void)uv_timer_start(&clock_, on_clock, patience(PATIENCE_MS), 0);
	while (news.count < count && !late)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(news.count, count);
}

static void
run_quietly(void)
{
	late = false;
	(void)uv_timer_start(&clock_, on_clock, QUIET_MS, 0);
	while (!late)
		(void)uv_run(&loop, UV_RUN_ONCE);
}

static void
begin(const char *home)
{
	struct err err = {.code = 0};

	assert_int_equal(credentials_new(&credentials, &loop, home, on_news, NULL, &err), 0);
}

static int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	memset(&news, 0, sizeof(news));
	credentials = NULL;
	(void)snprintf(dir, sizeof(dir), "/tmp/test-credentials-XXXXXX");
	if (mkdtemp(dir) == NULL || uv_loop_init(&loop) != 0)
		return -1;
	return uv_timer_init(&loop, &clock_);
}

static int
teardown(void **state)
{
	char command[96];

	if (credentials != NULL)
		credentials_close(credentials, NULL, NULL);
	uv_close((uv_handle_t *)&clock_, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0 ? -1 : uv_loop_close(&loop);
}

static void
it_tells_tokens_written_in_place_from_another_login_moved_there(void **state)
{
	write_file("auth.json", CHATGPT("a", "1"));
	begin(dir);
	assert_true(credentials_is_chatgpt(credentials));
	write_file("auth.json", CHATGPT("a", "2"));
	run_until_news(1);
	assert_int_equal(news.others, 0);
	write_file("new", API_KEY("k"));
	assert_int_equal(rename(in_dir("new"), in_dir("auth.json")), 0);
	run_until_news(2);
	assert_int_equal(news.others, 1);
	assert_false(credentials_is_chatgpt(credentials));
}

static void
the_same_text_again_another_file_and_half_a_file_are_no_news(void **state)
{
	write_file("auth.json", API_KEY("k"));
	begin(dir);
	write_file("auth.json", API_KEY("k"));
	write_file("history.jsonl", "{}");
	run_quietly();
	write_file("auth.json", "{\"auth_mode\":");
	run_quietly();
	assert_int_equal(unlink(in_dir("auth.json")), 0);
	run_quietly();
	assert_int_equal(news.count, 0);
}

/* Who was started meanwhile had none. */
static void
a_login_that_was_gone_and_is_there_again_is_news(void **state)
{
	write_file("auth.json", API_KEY("k"));
	begin(dir);
	assert_int_equal(unlink(in_dir("auth.json")), 0);
	run_quietly();
	write_file("auth.json", API_KEY("k"));
	run_until_news(1);
	assert_int_equal(news.others, 0);
	write_file("auth.json", API_KEY("k"));
	run_quietly();
	assert_int_equal(news.count, 1);
}

static void
writes_in_quick_succession_are_one_piece_of_news(void **state)
{
	begin(dir);
	for (int i = 0; i < 10; i++) {
		write_file("auth.json", CHATGPT("a", "1"));
		write_file("auth.json", CHATGPT("a", "2"));
	}
	run_until_news(1);
	run_quietly();
	assert_int_equal(news.count, 1);
	assert_int_equal(news.others, 1); /* there was none before */
}

/* As Kubernetes mounts a secret: auth.json -> ..data/auth.json, ..data -> a folder, swapped. */
static void
a_swap_of_the_folder_behind_the_link_is_seen(void **state)
{
	assert_int_equal(mkdir(in_dir("home"), 0700), 0);
	assert_int_equal(mkdir(in_dir("..1"), 0700), 0);
	assert_int_equal(mkdir(in_dir("..2"), 0700), 0);
	write_file("..1/auth.json", API_KEY("1"));
	write_file("..2/auth.json", API_KEY("2"));
	assert_int_equal(symlink("..1", in_dir("..data")), 0);
	assert_int_equal(symlink("..data/auth.json", in_dir("auth.json")), 0);
	assert_int_equal(symlink(in_dir("auth.json"), in_dir("home/auth.json")), 0);
	begin(in_dir("home"));
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(symlink(i % 2 == 1 ? "..2" : "..1", in_dir("..tmp")), 0);
		assert_int_equal(rename(in_dir("..tmp"), in_dir("..data")), 0);
		run_until_news(i);
		assert_int_equal(news.others, i);
	}
}

int
main(void)
{
#define with_loop(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_tokens_are_the_same_login),
		cmocka_unit_test(another_account_key_or_mode_is_another_login),
		cmocka_unit_test(what_holds_no_login_is_none),
		with_loop(it_tells_tokens_written_in_place_from_another_login_moved_there),
		with_loop(the_same_text_again_another_file_and_half_a_file_are_no_news),
		with_loop(a_login_that_was_gone_and_is_there_again_is_news),
		with_loop(writes_in_quick_succession_are_one_piece_of_news),
		with_loop(a_swap_of_the_folder_behind_the_link_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
