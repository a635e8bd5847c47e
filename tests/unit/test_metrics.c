/* What is counted, and that a page of it is what Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "proxy/metrics.h"
#include "proxy/process_figures.h"

#define MS ((uint64_t)1000000)

static struct metrics *m;
static struct metrics_now now;
static struct json_buf page;

static int
setup(void **state)
{
	m = metrics_new();
	memset(&now, 0, sizeof(now));
	return m != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	metrics_free(m);
	json_buf_free(&page);
	memset(&page, 0, sizeof(page));
	return 0;
}

static void
print(void)
{
	page.len = 0;
	metrics_print(m, &now, &page);
	json_buf_append(&page, "", 1);
	assert_false(page.failed);
}

/* The page has this line, as a whole. */
static void
assert_line(const char *line)
{
	const char *at = page.data;
	size_t len = strlen(line);

	while ((at = strstr(at, line)) != NULL) {
		if ((at == page.data || at[-1] == '\n') && at[len] == '\n')
			return;
		at++;
	}
	fail_msg("no line: %s\n%s", line, page.data);
}

static void
request(const char *path, int status, const char *outcome, uint64_t ms)
{
	const struct metrics_request r = {
		.path = path, .status = status, .outcome = outcome, .ns = ms * MS};

	metrics_request(m, &r);
}

static void
requests_are_counted_by_path_status_and_outcome(void **state)
{
	request("/v1/models", 200, "ok", 1);
	request("/v1/models", 201, "ok", 1);
	request("/v1/models", 401, "unauthorized", 1);
	request("/healthz", 200, "ok", 1);
	request("/healthz", 0, "cancelled", 1);
	print();
	assert_line("codex_sidecar_requests_total{path=\"/v1/models\",status=\"2xx\","
	            "outcome=\"ok\"} 2");
	assert_line("codex_sidecar_requests_total{path=\"/v1/models\",status=\"4xx\","
	            "outcome=\"unauthorized\"} 1");
	assert_line("codex_sidecar_requests_total{path=\"/healthz\",status=\"none\","
	            "outcome=\"cancelled\"} 1");
}

static void
windows_of_the_account_are_shown_as_far_as_they_are_known(void **state)
{
	now.limits[0] = (struct metrics_limit){"codex", "primary", 43, 18000, 1795628210};
	now.limits[1] = (struct metrics_limit){"codex", "secondary", 0, 0, 0};
	now.limit_count = 2;
	print();
#define WINDOW(name) "{limit=\"codex\",window=\"" name "\"} "
	assert_line("codex_sidecar_account_rate_limit_used_percent" WINDOW("primary") "43");
	assert_line("codex_sidecar_account_rate_limit_used_percent" WINDOW("secondary") "0");
	assert_line("codex_sidecar_account_rate_limit_window_seconds" WINDOW("primary") "18000");
	assert_line("codex_sidecar_account_rate_limit_reset_timestamp_seconds" WINDOW(
		"primary") "1795628210");
	assert_null(strstr(page.data, "window_seconds" WINDOW("secondary")));
	assert_null(strstr(page.data, "timestamp_seconds" WINDOW("secondary")));
}

static void
restarts_are_told_for_each_app_server_and_the_proxy(void **state)
{
	now.backends[0].id = 3;
	now.backends[0].restarts = 4;
	now.backend_count = 1;
	now.proxy_restarts = 2;
	now.login_expires_at = 1795687200;
	print();
	assert_line("codex_sidecar_backend_restarts_total{backend=\"3\"} 4");
	assert_line("codex_sidecar_proxy_restarts_total 2");
	assert_line("codex_sidecar_login_expires_timestamp_seconds 1795687200");
}

static void
histograms_are_cumulative(void **state)
{
	const struct metrics_request r = {.path = "/x",
	                                  .status = 200,
	                                  .outcome = "stop",
	                                  .ns = 3000 * MS,
	                                  .queue_ns = 10 * MS,
	                                  .first_ns = 700 * MS};

	request("/x", 200, "stop", 10); /* on the bound: in it */
	request("/x", 200, "stop", 2000000);
	metrics_request(m, &r);
	print();
	assert_line("codex_sidecar_request_duration_seconds_bucket{path=\"/x\",le=\"0.01\"} 1");
	assert_line("codex_sidecar_request_duration_seconds_bucket{path=\"/x\",le=\"2.5\"} 1");
	assert_line("codex_sidecar_request_duration_seconds_bucket{path=\"/x\",le=\"5\"} 2");
	assert_line("codex_sidecar_request_duration_seconds_bucket{path=\"/x\",le=\"900\"} 2");
	assert_line("codex_sidecar_request_duration_seconds_bucket{path=\"/x\",le=\"+Inf\"} 3");
	assert_line("codex_sidecar_request_duration_seconds_count{path=\"/x\"} 3");
	assert_line("codex_sidecar_request_duration_seconds_sum{path=\"/x\"} 2003.01");
	assert_line("codex_sidecar_time_to_first_token_seconds_count{path=\"/x\"} 1");
	assert_line("codex_sidecar_queue_wait_seconds_bucket{path=\"/x\",le=\"0.01\"} 1");
}

static void
tokens_turns_and_refusals_add_up(void **state)
{
	const struct usage usage = {.input_tokens = 100,
	                            .cached_input_tokens = 60,
	                            .output_tokens = 20,
	                            .reasoning_output_tokens = 5};
	struct failure f;

	metrics_usage(m, &usage);
	metrics_usage(m, &usage);
	metrics_rate_limited(m);
	metrics_turn(m, NULL);
	failure_set(&f, FAILURE_UPSTREAM_ERROR, "x");
	metrics_turn(m, &f);
	failure_set(&f, FAILURE_DRAINING, "x");
	metrics_turn(m, &f);
	print();
	assert_line("codex_sidecar_tokens_total{kind=\"input\"} 200");
	assert_line("codex_sidecar_tokens_total{kind=\"cached\"} 120");
	assert_line("codex_sidecar_tokens_total{kind=\"output\"} 40");
	assert_line("codex_sidecar_tokens_total{kind=\"reasoning\"} 10");
	assert_line("codex_sidecar_rate_limited_total 1");
	assert_line("codex_sidecar_turns_total{result=\"ok\"} 1");
	assert_line("codex_sidecar_turns_total{result=\"upstream\"} 1");
	assert_line("codex_sidecar_turns_total{result=\"busy\"} 1");
	assert_line("codex_sidecar_turns_total{result=\"auth\"} 0");
}

static void
backends_are_shown_one_state_each(void **state)
{
	now.backends[0].id = 0;
	now.backends[0].state = METRICS_BACKEND_AUTH;
	now.backends[1].id = 7;
	now.backends[1].state = METRICS_BACKEND_USABLE;
	now.backend_count = 2;
	metrics_connected(m, 7);
	metrics_connected(m, 7);
	metrics_connected(m, -1);
	metrics_connected(m, METRICS_BACKENDS_MAX);
	print();
	assert_line("codex_sidecar_backend_state{backend=\"0\",state=\"auth_failed\"} 1");
	assert_line("codex_sidecar_backend_state{backend=\"0\",state=\"usable\"} 0");
	assert_line("codex_sidecar_backend_state{backend=\"7\",state=\"usable\"} 1");
	assert_line("codex_sidecar_backend_connects_total{backend=\"7\"} 2");
}

static void
what_is_now_is_shown(void **state)
{
	now.ready = true;
	now.in_flight = 3;
	now.queued = 4;
	now.threads = 5;
	now.connections = 6;
	now.exchanges = 7;
	process_figures(&now.process);
	assert_true(now.process.rss_bytes > 100000);
	assert_in_range(now.process.files, 3, 1000);
	assert_true(now.process.files_max >= now.process.files);
	assert_true(now.process.started > 1.6e9);
	assert_true(now.process.cpu_seconds > 0 && now.process.cpu_seconds < 1000);
	print();
	assert_line("codex_sidecar_ready 1");
	assert_line("codex_sidecar_turns_in_flight 3");
	assert_line("codex_sidecar_turns_queued 4");
	assert_line("codex_sidecar_threads 5");
	assert_line("codex_sidecar_connections 6");
	assert_line("codex_sidecar_requests_in_work 7");
	assert_line("codex_sidecar_build_info{version=\"" SIDECAR_VERSION "\"} 1");
}

/* Each line is a comment or a sample of a metric whose TYPE line has gone before. */
static void
the_page_is_well_formed(void **state)
{
	static const char sample[] = "^codex_sidecar_[a-z_]+([{]([a-z]+=\"[^\"\\\\]*\",?)+[}])? "
				     "[0-9.e+-]+$";
	static const char comment[] = "^# (HELP codex_sidecar_[a-z_]+ [^\n]+|TYPE "
				      "codex_sidecar_[a-z_]+ (counter|gauge|histogram))$";
	regex_t is_sample, is_comment;
	char *rest = NULL;

	assert_int_equal(regcomp(&is_sample, sample, REG_EXTENDED | REG_NOSUB), 0);
	assert_int_equal(regcomp(&is_comment, comment, REG_EXTENDED | REG_NOSUB), 0);
	request("/x", 200, "stop", 5);
	now.backend_count = 1;
	process_figures(&now.process);
	print();
	assert_int_equal(page.data[page.len - 2], '\n');
	for (char *line = strtok_r(page.data, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		if (regexec(line[0] == '#' ? &is_comment : &is_sample, line, 0, NULL, 0) != 0)
			fail_msg("not of the format: %s", line);
	regfree(&is_sample);
	regfree(&is_comment);
}

static void
nothing_is_lost_or_overrun_when_a_set_is_not_closed(void **state)
{
	char name[200];

	for (int i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "/%d", i);
		request(name, 200, "ok", 1);
	}
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	request(name, 200, name, 1);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "outcome-%d", i);
		request("/0", 200, name, 1);
	}
	print();
	assert_line("codex_sidecar_request_duration_seconds_count{path=\"/15\"} 186");
	assert_line("codex_sidecar_request_duration_seconds_count{path=\"/0\"} 201");
}

static void
without_metrics_counting_is_nothing(void **state)
{
	const struct metrics_request r = {.path = "/x", .outcome = "ok"};
	const struct usage usage = {0};

	metrics_request(NULL, &r);
	metrics_usage(NULL, &usage);
	metrics_rate_limited(NULL);
	metrics_turn(NULL, NULL);
	metrics_connected(NULL, 0);
	metrics_free(NULL);
}

#define with_metrics(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_metrics(requests_are_counted_by_path_status_and_outcome),
		with_metrics(windows_of_the_account_are_shown_as_far_as_they_are_known),
		with_metrics(restarts_are_told_for_each_app_server_and_the_proxy),
		with_metrics(histograms_are_cumulative),
		with_metrics(tokens_turns_and_refusals_add_up),
		with_metrics(backends_are_shown_one_state_each),
		with_metrics(what_is_now_is_shown),
		with_metrics(the_page_is_well_formed),
		with_metrics(nothing_is_lost_or_overrun_when_a_set_is_not_closed),
		with_metrics(without_metrics_counting_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
