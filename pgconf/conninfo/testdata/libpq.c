/*
 * Asks a libpq what it makes of connection strings.
 *
 * usage: libpq LIBRARY parse|connect|keywords <strings >answers
 *
 * Strings end with a NUL byte. One that begins with byte 1 gets no answer; NAME=value after it goes into the environment of
 * those that follow. Every item of an answer ends with a NUL byte, too: "ok" or an error message (always one after connect,
 * since the attempt must fail), then keyword and value of each option that is set, then an empty item. connect adds the
 * password that libpq would use for the last host, as the keyword PQpass. keywords reads nothing, and answers with the version
 * number in place of "ok", then keyword and display character of each option.
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in libpq-fe.h, which need not be installed. */
typedef struct { char *keyword, *envvar, *compiled, *val, *label, *dispchar; int dispsize; } option;
typedef struct pg_conn conn;

static option *(*parse)(const char *, char **);
static void (*freeOptions)(option *);
static void (*freeMemory)(void *);
static conn *(*start)(const char *);
static int (*pollConn)(conn *), (*socketOf)(conn *);
static char *(*messageOf)(conn *), *(*passOf)(conn *);
static option *(*optionsOf)(conn *);
static void (*finish)(conn *);

static void item(const char *s) { fwrite(s, 1, strlen(s) + 1, stdout); }

static void options(option *list, int which)
{
	for (option *o = list; o && o->keyword; o++)
		if (which || o->val) {
			item(o->keyword);
			item(which ? o->dispchar : o->val);
		}
	freeOptions(list);
}

static void tryParse(const char *s)
{
	char *error = NULL;
	option *list = parse(s, &error);
	item(list ? "ok" : error ? error : "out of memory");
	options(list, 0);
	freeMemory(error);
}

static void tryConnect(const char *s)
{
	enum { failed, reading, writing, ok };
	conn *c = start(s);
	for (int state = writing; socketOf(c) >= 0 && (state == reading || state == writing); state = pollConn(c)) {
		struct pollfd fd = { socketOf(c), state == reading ? POLLIN : POLLOUT, 0 };
		if (poll(&fd, 1, 10000) != 1)
			break;
	}
	item(messageOf(c));
	options(optionsOf(c), 0);
	item("PQpass");
	item(passOf(c));
	finish(c);
}

static void *symbol(void *lib, const char *name)
{
	void *p = dlsym(lib, name);
	if (!p) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return p;
}

int main(int argc, char **argv)
{
	void *lib = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!lib) {
		fprintf(stderr, "%s\n", argc == 3 ? dlerror() : "usage: libpq LIBRARY parse|connect|keywords");
		return 1;
	}
	parse = symbol(lib, "PQconninfoParse"), freeOptions = symbol(lib, "PQconninfoFree"), freeMemory = symbol(lib, "PQfreemem");
	start = symbol(lib, "PQconnectStart"), pollConn = symbol(lib, "PQconnectPoll"), socketOf = symbol(lib, "PQsocket");
	messageOf = symbol(lib, "PQerrorMessage"), passOf = symbol(lib, "PQpass"), optionsOf = symbol(lib, "PQconninfo");
	finish = symbol(lib, "PQfinish");
	if (!strcmp(argv[2], "keywords")) {
		int (*version)(void) = symbol(lib, "PQlibVersion");
		printf("%d%c", version(), 0);
		options(parse("", NULL), 1);
		item("");
		return 0;
	}
	char *s = NULL;
	size_t size = 0;
	while (getdelim(&s, &size, 0, stdin) > 0) {
		if (*s == 1) {
			putenv(strdup(s + 1));
			continue;
		}
		(*argv[2] == 'p' ? tryParse : tryConnect)(s);
		item("");
	}
	return 0;
}
