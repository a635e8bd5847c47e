/* Where images may be fetched from: the list of hosts, and the addresses that no name leads to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/common.h"
#include "proxy/fetch_hosts.h"

static const char list[] = "example.com, *.Images.example.org ,other.example:8443,192.0.2.7,"
			   "[::1]:444,[2001:db8::7]";

static void
a_host_is_allowed_by_its_name_and_port(void **state)
{
	static const struct {
		const char *host;
		unsigned port;
		enum fetch_host expected;
	} cases[] = {
		{"example.com",              443,  FETCH_HOST_NAMED  },
		{"EXAMPLE.com",              443,  FETCH_HOST_NAMED  },
		{"example.com",              8443, FETCH_HOST_REFUSED},
		{"example.com.",             443,  FETCH_HOST_REFUSED},
		{"example.co",               443,  FETCH_HOST_REFUSED},
		{"a.example.com",            443,  FETCH_HOST_REFUSED},
		{"example.com.evil.example", 443,  FETCH_HOST_REFUSED},
		{"notexample.com",           443,  FETCH_HOST_REFUSED},
		{"a.images.example.org",     443,  FETCH_HOST_NAMED  },
		{"a.b.images.example.org",   443,  FETCH_HOST_NAMED  },
		{"images.example.org",       443,  FETCH_HOST_REFUSED},
		{".images.example.org",      443,  FETCH_HOST_REFUSED},
		{"evilimages.example.org",   443,  FETCH_HOST_REFUSED},
		{"other.example",            8443, FETCH_HOST_NAMED  },
		{"other.example",            443,  FETCH_HOST_REFUSED},
		{"192.0.2.7",                443,  FETCH_HOST_LITERAL},
		{"192.0.2.70",               443,  FETCH_HOST_REFUSED},
		{"[::1]",                    444,  FETCH_HOST_LITERAL},
		{"[::1]",                    443,  FETCH_HOST_REFUSED},
		{"[2001:db8::7]",            443,  FETCH_HOST_LITERAL},
		{"",			 443,  FETCH_HOST_REFUSED},
		{",",			443,  FETCH_HOST_REFUSED},
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		if (fetch_host_check(list, cases[i].host, cases[i].port) != cases[i].expected)
			fail_msg("%s:%u", cases[i].host, cases[i].port);
}

static void
a_star_is_every_name_and_no_address(void **state)
{
	assert_int_equal(fetch_host_check("*", "example.com", 443), FETCH_HOST_NAMED);
	assert_int_equal(fetch_host_check("*", "example.com", 80), FETCH_HOST_REFUSED);
	assert_int_equal(fetch_host_check("*", "127.0.0.1", 443), FETCH_HOST_REFUSED);
	assert_int_equal(fetch_host_check("*", "[::1]", 443), FETCH_HOST_REFUSED);
	assert_int_equal(fetch_host_check("*.1", "127.0.0.1", 443), FETCH_HOST_REFUSED);
	/* in whatever way it is written: libcurl leaves some as they are (213%2e64433) */
	assert_int_equal(fetch_host_check("*", "213.64433", 443), FETCH_HOST_REFUSED);
	assert_int_equal(fetch_host_check("*", "0x7f.1", 443), FETCH_HOST_REFUSED);
	assert_int_equal(fetch_host_check("*", "2130706433", 443), FETCH_HOST_REFUSED);
	assert_int_equal(fetch_host_check("*", "1.example", 443), FETCH_HOST_NAMED);
	assert_int_equal(fetch_host_check("", "example.com", 443), FETCH_HOST_REFUSED);
}

static bool
is_public(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return fetch_address_is_public((struct sockaddr *)&v4);
	assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return fetch_address_is_public((struct sockaddr *)&v6);
}

static void
addresses_of_the_internet_are_public(void **state)
{
	static const char *const public[] = {
		"1.1.1.1",         "9.255.255.255",   "11.0.0.0",         "100.63.255.255",
		"100.128.0.0",     "172.15.255.255",  "172.32.0.0",       "192.167.255.255",
		"192.169.0.0",     "223.255.255.255", "2606:4700::1",     "2a00::1",
		"2001:4860::8888", "::ffff:8.8.8.8",  "64:ff9b::808:808",
	};

	for (size_t i = 0; i < NELEM(public); i++)
		if (!is_public(public[i]))
			fail_msg("%s", public[i]);
}

static void
addresses_of_this_machine_and_of_private_networks_are_not(void **state)
{
	static const char *const private[] = {
		"0.0.0.0",
		"10.1.2.3",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.0.0.1",
		"192.168.1.1",
		"198.18.0.1",
		"198.19.255.255",
		"224.0.0.1",
		"240.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::7f00:1",
		"fe80::1",
		"fc00::1",
		"fd12:3456::1",
		"fec0::1",
		"ff02::1",
		"::ffff:127.0.0.1",
		"::ffff:10.0.0.1",
		"64:ff9b::a00:1",
		"64:ff9b:1::1",
		"2002:7f00:1::",
		"2001::1",
		"2001:db8::1",
		"3fff::1",
	};
	const struct sockaddr other = {.sa_family = AF_UNIX};

	for (size_t i = 0; i < NELEM(private); i++)
		if (is_public(private[i]))
			fail_msg("%s", private[i]);
	assert_false(fetch_address_is_public(&other));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_allowed_by_its_name_and_port),
		cmocka_unit_test(a_star_is_every_name_and_no_address),
		cmocka_unit_test(addresses_of_the_internet_are_public),
		cmocka_unit_test(addresses_of_this_machine_and_of_private_networks_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
