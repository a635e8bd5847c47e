/* replay: runs a target of the fuzzer on the files of its corpus, with any compiler.
 * usage: fuzz_TARGET FOLDER|FILE... */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "common/common.h"
#include "common/file.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)16 << 20)

static unsigned replayed;

static int
replay_file(const char *path)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE uint8_t *exact = NULL; /* without the NUL, so that reading over the end is seen */
	size_t len = 0;
	struct err err = {.code = 0};

	if (file_read(&text, &len, path, INPUT_MAX, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	exact = malloc(len > 0 ? len : 1);
	if (exact == NULL)
		return -1;
	memcpy(exact, text, len);
	(void)printf("%s\n", path); /* the last one is the one that failed */
	(void)fflush(stdout);
	(void)LLVMFuzzerTestOneInput(exact, len);
	replayed++;
	return 0;
}

static int
replay_folder(const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, NULL, alphasort), r = 0;

	if (count < 0) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < count; i++) {
		char file[4096];

		(void)snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && replay_file(file) < 0)
			r = -1;
		free(entries[i]);
	}
	free(entries);
	return r;
}

int
main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);

		if ((folder ? replay_folder(argv[i]) : replay_file(argv[i])) < 0)
			failed++;
	}
	if (replayed == 0 || failed > 0) {
		(void)fprintf(stderr, "usage: %s FOLDER|FILE...\n", argv[0]);
		return 1;
	}
	(void)printf("[  PASSED  ] %u inputs\n", replayed); /* as cmocka closes */
	return 0;
}
