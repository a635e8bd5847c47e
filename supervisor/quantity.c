/* quantity: times and sizes as people write them: "1.5s", "2m", "300M". Pure. */
#include "supervisor/quantity.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define MAX ((double)(INT64_C(1) << 53)) /* up to here a double counts every whole number */

struct unit {
	const char *name;
	double factor;
};

/* Digits with at most one point among them; not strtod, which reads "inf", "0x1p3" and what the
 * locale calls a point. Returns where it ends, NULL: no number. */
static const char *
parse_number(const char *text, double *out)
{
	double value = 0, scale = 1;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		value = value * 10 + (*p - '0');
	if (p == text)
		return NULL;
	if (*p == '.') {
		const char *point = p++;

		for (; *p >= '0' && *p <= '9'; p++) {
			value = value * 10 + (*p - '0');
			scale *= 10;
		}
		if (p == point + 1)
			return NULL;
	}
	*out = value / scale;
	return p;
}

static int
parse(const char *text, const struct unit *units, size_t count, int64_t *out)
{
	double value;
	const char *unit = parse_number(text, &value);

	if (unit == NULL)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(units[i].name, unit) != 0)
			continue;
		value *= units[i].factor;
		if (!(value <= MAX)) /* not a number neither: so many digits that it is inf/inf */
			return -ERANGE;
		*out = (int64_t)(value + 0.5);
		return 0;
	}
	return -EINVAL;
}

int
quantity_parse_ms(const char *text, int64_t *out)
{
	static const struct unit units[] = {
		{"",   1       },
                {"ms", 1       },
                {"s",  1000    },
                {"m",  60000   },
                {"h",  3600000 },
                {"d",  86400000}
        };

	return parse(text, units, NELEM(units), out);
}

int
quantity_parse_bytes(const char *text, int64_t *out)
{
	static const struct unit units[] = {
		{"",   1      },
                {"B",  1      },
                {"K",  1 << 10},
                {"KB", 1 << 10},
		{"M",  1 << 20},
                {"MB", 1 << 20},
                {"G",  1 << 30},
                {"GB", 1 << 30}
        };

	return parse(text, units, NELEM(units), out);
}
