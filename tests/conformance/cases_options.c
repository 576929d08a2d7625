/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Group 24: each option of options.c as a case: get, set, get, messages both ways, get. What became of the
 * messages goes into memory that the runner's process shares: with OPTIONS_MD=FILE in the environment it writes
 * docs/OPTIONS.md from it when it ends. Only sets that plain TCP accepts count there.
 */
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "options.h"
#include "state.h"

#define OPTIONS_MAX 256
#define ROUNDS 6

/* One case's run; written by its process. */
struct run {
	bool done, set;
	int error;	     /* of the set, or of a get-only option's get */
	uint64_t seen;	     /* hash of everything that the calls returned */
	uint64_t spliced[2]; /* by the end that has the option; by the other one */
	unsigned int reason[2];
};

static struct run (*runs)[MODES][KINDS];
static struct conform_case cases[OPTIONS_MAX];
static char names[OPTIONS_MAX][40];
static pid_t runner;

static int get_option(struct conform *c, const struct option *o, struct run *r, const char *when)
{
	unsigned char mem[512] = { 0 };
	socklen_t len = sizeof(mem);
	int e = getsockopt(c->tx, o->level, o->option, mem, &len) < 0 ? errno : 0;

	if (e)
		say(c, "get %s: %s", when, strerrorname_np(e));
	else if (o->flags & OPTION_VARIES)
		say(c, "get %s: %u bytes", when, len);
	else if (len == sizeof(int))
		say(c, "get %s: %d", when, *(int *)(void *)mem);
	else
		say_hash(c, "get", mem, len);
	r->seen = hash(r->seen, &e, sizeof(e));
	if (!e && !(o->flags & OPTION_VARIES))
		r->seen = hash(r->seen, mem, len);
	return e;
}

static void talk(struct conform *c, struct run *r)
{
	uint64_t mark[2] = { spliced(c->tx), spliced(c->rx) };
	int e = pair_pingpong(&c->p, ROUNDS, 400);

	say(c, "messages both ways: %s", e < 0 ? strerrorname_np(-e) : "arrive");
	r->seen = hash(r->seen, &e, sizeof(e));
	for (int i = 0; i < 2; i++) {
		struct fastlo_info now = info(i ? c->rx : c->tx);

		r->spliced[i] = now.tx_spliced_bytes - mark[i];
		r->reason[i] = now.reason;
	}
}

static void try_option(struct conform *c)
{
	struct run *r;
	size_t i = 0;

	while (i < options_count && strcmp(names[i], c->state->name) != 0)
		i++;
	if (i == options_count) {
		broken(c, "no such option");
		return;
	}
	if ((options[i].flags & OPTION_MAY_STOP) && c->kind == OWN)
		skip_case(c, "plain TCP stops for good, and so does a pair that yields: nothing to wait for");
	r = &runs[i][c->mode][c->kind];
	memset(r, 0, sizeof(*r)); /* plain runs may be repeated */
	r->error = get_option(c, &options[i], r, "before");
	if (!(options[i].flags & OPTION_GET_ONLY)) {
		r->error = setsockopt(c->tx, options[i].level, options[i].option, options[i].value, options[i].len) < 0 ?
				   errno : 0;
		say(c, "set: %s", r->error ? strerrorname_np(r->error) : "0");
		r->seen = hash(r->seen, &r->error, sizeof(r->error));
		get_option(c, &options[i], r, "after");
	}
	r->set = !r->error;
	talk(c, r);
	get_option(c, &options[i], r, "after messages");
	so_error(c, c->tx);
	r->done = true;
}

/* ---- docs/OPTIONS.md */
struct row {
	bool ran, accepted, differs, yields[2];
	int error;
	unsigned int reason[2];
};

/* Of every address kind and both modes. */
static struct row summary(size_t i)
{
	struct row w = { 0 };

	for (enum kind k = 0; k < KINDS; k++) {
		struct run *plain = &runs[i][PLAIN][k];

		for (enum mode m = OBSERVED; m < MODES && plain->done; m++) {
			struct run *r = &runs[i][m][k];

			w.ran = true;
			w.differs |= !r->done || r->seen != plain->seen;
			if (!plain->set) {
				w.error = w.error ? w.error : plain->error;
				continue;
			}
			w.accepted = true;
			for (int side = 0; side < 2; side++) {
				if (!r->done || r->spliced[side] >= ROUNDS * 400)
					continue;
				w.yields[side] = true;
				w.reason[side] = r->reason[side];
			}
		}
	}
	return w;
}

static void write_row(FILE *f, const struct option *o, const struct row *w)
{
	static const char *const who[2] = { "sends", "receives" };
	char outcome[200] = "";

	if (!w->ran)
		snprintf(outcome, sizeof(outcome), "not tried here");
	else if (!w->accepted)
		snprintf(outcome, sizeof(outcome), "refused, as by plain TCP (%s)", strerrorname_np(w->error));
	for (int side = 0; side < 2; side++)
		if (w->yields[side])
			snprintf(outcome + strlen(outcome), sizeof(outcome) - strlen(outcome), "%syields when it %s (`%s`)",
				 *outcome ? ", " : "", who[side], reason_name(w->reason[side]));
	if (!*outcome)
		snprintf(outcome, sizeof(outcome), "%s", w->differs ? "spliced" :
			 (o->flags & OPTION_GET_ONLY) ? "honoured while spliced (get only)" : "honoured while spliced");
	fprintf(f, "| %s | %s%s | %s |\n", o->name, outcome, w->differs ? "; **differs from plain TCP**" : "",
		w->accepted && o->note ? o->note : "");
}

static void write_rows(FILE *f, const char *title, int level, bool windows)
{
	fprintf(f, "\n## %s\n| option | on a spliced socket | note |\n| --- | --- | --- |\n", title);
	for (size_t i = 0; i < options_count; i++) {
		bool is = options[i].flags & OPTION_WINDOWS;
		struct row w;

		if (is != windows || (!windows && options[i].level != level))
			continue;
		w = summary(i);
		write_row(f, &options[i], &w);
	}
}

static void write_file(void)
{
	const char *path = getenv("OPTIONS_MD");
	FILE *f;

	if (!path || getpid() != runner)
		return;
	f = fopen(path, "we");
	if (!f) {
		printf("%s: %s\n", path, strerror(errno));
		return;
	}
	fprintf(f, "<!-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause -->\n"
		   "<!-- Made by: OPTIONS_MD=docs/OPTIONS.md build/tests/conformance/conformance -g 24 -->\n"
		   "# Socket options on a spliced socket\n\n"
		   "Each option was set on one end of a spliced pair, observed and eager, over IPv4, IPv6, v4-mapped and a host\n"
		   "address, and beside it on a plain TCP pair; then messages went both ways.\n\n"
		   "* **honoured while spliced**: set and get answer as on plain TCP, and messages still splice.\n"
		   "* **yields**: set and get answer as on plain TCP, and while the option is on, messages of the named direction\n"
		   "  go over TCP, which honours it. *Sends*, *receives*: the end that has the option. The reason is that of\n"
		   "  `FASTLO_INFO` and `fastloctl list`; some options are a reason in both directions.\n"
		   "* **refused, as by plain TCP**: with the same errno.\n"
		   "* **differs from plain TCP**: see docs/DEVIATIONS.md.\n");
	write_rows(f, "What Windows' loopback fast path ignores (SIO_LOOPBACK_FAST_PATH)", 0, true);
	fprintf(f, "\nSO_EXCLUSIVEADDRUSE, SO_CONDITIONAL_ACCEPT, SO_RANDOMIZE_PORT, SO_UPDATE_ACCEPT_CONTEXT and their like have no\n"
		   "counterpart on Linux.\n");
	write_rows(f, "SOL_SOCKET", SOL_SOCKET, false);
	write_rows(f, "IPPROTO_TCP", IPPROTO_TCP, false);
	write_rows(f, "IPPROTO_IP", IPPROTO_IP, false);
	write_rows(f, "IPPROTO_IPV6", IPPROTO_IPV6, false);
	fclose(f);
}

static void case_name(char *ret, size_t size, const char *name)
{
	size_t len = snprintf(ret, size, "opt_");

	for (; *name && len + 1 < size; name++)
		if (isalnum((unsigned char)*name) || *name == '_')
			ret[len++] = (char)tolower((unsigned char)*name);
	ret[len] = 0;
}

__attribute__((constructor)) static void options_register(void)
{
	size_t count = options_count < OPTIONS_MAX ? options_count : OPTIONS_MAX;

	runs = mmap(NULL, sizeof(runs[0]) * OPTIONS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (runs == MAP_FAILED)
		return;
	for (size_t i = 0; i < count; i++) {
		case_name(names[i], sizeof(names[i]), options[i].name);
		cases[i] = (struct conform_case){ .group = 24, .name = names[i], .run = try_option,
						  .expects = SPLICED_BEFORE };
		if (options[i].flags & OPTION_BUSY) {
			cases[i].expects |= OBSERVED_TOO;
			cases[i].deviates = "IPV6_ADDRFORM is busy";
		}
	}
	runner = getpid();
	atexit(write_file);
	conform_register(cases, count);
}
