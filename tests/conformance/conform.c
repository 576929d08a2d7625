/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The runner: every case, for every address kind, over plain TCP, observed and eager, each in a process of
 * its own; then the transcripts beside plain's. Where they differ, plain runs again a few times: what it does
 * now and then is allowed. One fastlod: its policy covers env.app, the other two modes live above it.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "state.h"

#define CASES_MAX 1000
#define PLAIN_AGAIN 3
#define POLICY "[policy conformance]\ncgroup = @CGROUP@\n"

static struct {
	const struct conform_case *list[CASES_MAX];
	size_t count;
} cases;

/* Shared by the workers, one for each address kind: what is waited for is the kernel, not the CPU. */
static struct {
	unsigned int passed, failed, skipped, deviating, same, unsteady;
	struct {
		bool ran, deviated;
	} cases[CASES_MAX];
} *sum;

static struct conform_state *states[MODES + 1]; /* the last one: plain, again */

int case_seconds(void)
{
	const char *text = getenv("CASE_SECONDS");

	return text && atoi(text) > 0 ? atoi(text) : 20;
}

static void count(unsigned int *what, unsigned int n)
{
	__atomic_fetch_add(what, n, __ATOMIC_RELAXED);
}

void conform_register(const struct conform_case *list, size_t count)
{
	for (size_t i = 0; i < count && cases.count < CASES_MAX; i++)
		cases.list[cases.count++] = &list[i];
}

static int by_group(const void *a, const void *b)
{
	const struct conform_case *x = *(const struct conform_case *const *)a, *y = *(const struct conform_case *const *)b;

	return x->group != y->group ? x->group - y->group : strcmp(x->name, y->name);
}

/* -ETIMEDOUT: neither the case nor its own watchdog, which gives up 5 s before this does, came to anything. */
static int run_once(const struct conform_case *what, enum mode mode, enum kind kind, struct conform_state *s)
{
	struct conform c = { .mode = mode, .kind = kind, .state = s };
	int status;
	pid_t pid;

	memset(s, 0, sizeof(*s));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child_main(&c, what);
	setpgid(pid, pid);
	status = pid < 0 ? -errno : proc_wait(pid, (case_seconds() + 5) * 1000);
	if (pid > 0) {
		kill(-pid, SIGKILL);
		if (status == -ETIMEDOUT)
			proc_wait(pid, PATIENCE_MS);
	}
	return status;
}

static void run_one(const struct conform_case *what, enum mode mode, enum kind kind, struct conform_state *s)
{
	int status = run_once(what, mode, kind, s);

	/* a virtual machine that was stopped for a while finds all its timers over at once */
	if (status == -ETIMEDOUT && s->outcome == UNFINISHED) {
		fprintf(stderr, "%s %s %s: not even its watchdog came to run; again\n", what->name, mode_name(mode),
			kind_names[kind]);
		status = run_once(what, mode, kind, s);
	}
	if (s->outcome == UNFINISHED) {
		s->outcome = FAILED;
		if (status >= 0 && WIFSIGNALED(status))
			snprintf(s->why, sizeof(s->why), "killed by %s", strsignal(WTERMSIG(status)));
		else
			snprintf(s->why, sizeof(s->why), "ended early: status %d", status);
	}
}

static void result(const char *word, const struct conform_case *what, enum mode mode, enum kind kind, const char *why)
{
	printf("%-8s %2d %-28s %-8s %-6s%s%s\n", word, what->group, what->name, mode_name(mode), kind_names[kind],
	       *why ? "  " : "", why);
}

/* Does plain TCP do that, too, at times? */
static bool plain_does_it(const struct conform_case *what, enum kind kind, const struct conform_state *s)
{
	struct conform_state *again = states[MODES];

	for (int i = 0; i < PLAIN_AGAIN; i++) {
		run_one(what, PLAIN, kind, again);
		if (again->outcome == FINISHED && transcript_same(again->text, s->text))
			return true;
	}
	return false;
}

static bool failed(const struct conform_case *what, enum mode mode, enum kind kind, const struct conform_state *s)
{
	if (s->outcome != FAILED)
		return false;
	result("FAIL", what, mode, kind, s->why);
	if (s->len)
		transcript_diff(states[PLAIN]->text, s->text, mode_name(mode));
	count(&sum->failed, 1);
	return true;
}

/* True if it deviates as it may. */
static bool compare(const struct conform_case *what, enum mode mode, enum kind kind, bool verbose)
{
	struct conform_state *s = states[mode];
	bool same, excused;

	if (failed(what, mode, kind, s))
		return false;
	if (s->outcome == SKIPPED) {
		result("skip", what, mode, kind, s->why);
		count(&sum->skipped, 1);
		return false;
	}
	same = transcript_same(states[PLAIN]->text, s->text);
	excused = !same && what->deviates && (mode == EAGER || (what->expects & OBSERVED_TOO));
	if (!same && !excused && plain_does_it(what, kind, s)) {
		same = true;
		count(&sum->unsteady, 1);
		result("ok", what, mode, kind, "(plain TCP does it now and then)");
	} else {
		result(same ? "ok" : excused ? "deviates" : "DIFF", what, mode, kind, excused ? what->deviates : "");
	}
	if ((!same && !excused) || verbose)
		transcript_diff(states[PLAIN]->text, s->text, mode_name(mode));
	count(&sum->same, same);
	count(&sum->deviating, excused);
	count(&sum->passed, same || excused);
	count(&sum->failed, !same && !excused);
	return excused;
}

/* True if its deviation, should it have one, occurred. */
static bool run_kind(const struct conform_case *what, enum kind kind, bool verbose)
{
	bool deviated = false;

	run_one(what, PLAIN, kind, states[PLAIN]);
	if (failed(what, PLAIN, kind, states[PLAIN]))
		return false;
	if (states[PLAIN]->outcome == SKIPPED) {
		result("skip", what, PLAIN, kind, states[PLAIN]->why);
		count(&sum->skipped, 1);
		return true;
	}
	for (enum mode mode = OBSERVED; mode < MODES; mode++) {
		run_one(what, mode, kind, states[mode]);
		deviated |= compare(what, mode, kind, verbose);
		fflush(stdout);
	}
	return deviated;
}

/* Does that entry say why observed pairs are met by it, too? */
static bool says_why(const char *entry)
{
	const char *end = strstr(entry, "\n#"), *why = strstr(entry, "\nObserved pairs: ");

	return why && (!end || why < end);
}

/* Every excuse must be written down. */
static bool headings_exist(void)
{
	static char text[1 << 20];
	bool good = true;

	if (file_read("docs/DEVIATIONS.md", text, sizeof(text)) < 0) {
		printf("docs/DEVIATIONS.md: %s, not checked\n", strerror(errno));
		return true;
	}
	for (size_t i = 0; i < cases.count; i++) {
		const char *heading = cases.list[i]->deviates, *at = text;
		size_t len = heading ? strlen(heading) : 0;

		if (!heading)
			continue;
		while ((at = strstr(at, heading)) && !(at - text > 5 && memcmp(at - 5, "\n### ", 5) == 0 && at[len] == '\n'))
			at++;
		if (!at) {
			printf("%s: docs/DEVIATIONS.md has no '### %s'\n", cases.list[i]->name, heading);
			good = false;
		} else if ((cases.list[i]->expects & OBSERVED_TOO) && !says_why(at + len)) {
			printf("%s: docs/DEVIATIONS.md: '%s' has no paragraph 'Observed pairs:'\n", cases.list[i]->name, heading);
			good = false;
		}
	}
	return good;
}

static bool wanted(const struct conform_options *o, const struct conform_case *what)
{
	return (!o->only || strcmp(o->only, what->name) == 0) && (!o->group || o->group == what->group);
}

static void *shared(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static int set_up(void)
{
	int r;

	sum = shared(sizeof(*sum));
	if (!sum)
		return -ENOMEM;
	r = env_up(POLICY);
	if (r == 0)
		r = netns_own(); /* here, so that every case's process has the same one */
	if (r < 0)
		printf("cannot set up: %s\n", strerror(-r));
	return r < 0 ? r : 0;
}

/* All cases for one kind, in a process of its own. Its output goes into a file, to be shown in one piece. */
static void worker(const struct conform_options *o, enum kind kind, FILE *out)
{
	dup2(fileno(out), STDOUT_FILENO);
	for (int i = 0; i <= MODES; i++) {
		states[i] = shared(sizeof(*states[i]));
		if (!states[i])
			_exit(1);
	}
	for (size_t i = 0; i < cases.count; i++) {
		if (!wanted(o, cases.list[i]))
			continue;
		if (run_kind(cases.list[i], kind, o->verbose))
			sum->cases[i].deviated = true;
		sum->cases[i].ran = true;
	}
	fflush(stdout);
	_exit(0);
}

static void show(FILE *out)
{
	char line[4096];

	rewind(out);
	while (fgets(line, sizeof(line), out))
		fputs(line, stdout);
	fclose(out);
	fflush(stdout);
}

static void run_kinds(const struct conform_options *o)
{
	FILE *out[KINDS] = { NULL };
	pid_t pid[KINDS] = { 0 };
	int status;

	fflush(NULL);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		if (o->kind && strcmp(o->kind, kind_names[kind]) != 0)
			continue;
		out[kind] = tmpfile();
		pid[kind] = out[kind] ? fork() : -1;
		if (pid[kind] == 0)
			worker(o, kind, out[kind]);
	}
	for (enum kind kind = 0; kind < KINDS; kind++) {
		if (!pid[kind])
			continue;
		if (pid[kind] < 0 || waitpid(pid[kind], &status, 0) < 0 || status != 0) {
			printf("the cases for %s ended early\n", kind_names[kind]);
			sum->failed++;
		}
		if (out[kind])
			show(out[kind]);
	}
}

int conform_main(const struct conform_options *o)
{
	unsigned int ran = 0;

	qsort(cases.list, cases.count, sizeof(cases.list[0]), by_group);
	for (size_t i = 0; i < cases.count && o->list; i++)
		if (wanted(o, cases.list[i]))
			printf("%2d %s\n", cases.list[i]->group, cases.list[i]->name);
	if (o->list)
		return 0;
	if (!headings_exist() || set_up() < 0)
		return 1;
	run_kinds(o);
	for (size_t i = 0; i < cases.count; i++) {
		ran += sum->cases[i].ran;
		if (cases.list[i]->deviates && sum->cases[i].ran && !sum->cases[i].deviated && !env.plain)
			printf("note: %s never deviated ('%s')\n", cases.list[i]->name, cases.list[i]->deviates);
	}
	if (!ran) {
		printf("no case '%s'\n", o->only ? o->only : "");
		return 1;
	}
	printf("%u cases, 2 modes beside plain TCP, %d address kinds: %u identical (%u of them as plain TCP does now and "
	       "then), %u deviating\n",
	       ran, o->kind ? 1 : KINDS, sum->same, sum->unsteady, sum->deviating);
	printf("%u passed, %u failed, %u skipped\n", sum->passed, sum->failed, sum->skipped);
	return sum->failed ? 1 : 0;
}
