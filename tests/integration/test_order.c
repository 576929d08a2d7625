/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes stay in order where TCP and splice meet: at the start of a connection, and whenever the
 * receive buffer fills and empties again.
 */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void sent_before_accept(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		ok(pair_dial(&p, &(struct dial){ .kind = k, .opt = { true, true }, .not_accepted = true }));
		for (int i = 0; i < 40; i++)
			ok(pair_send(&p, CLIENT, 1 + i * 37));
		ok(pair_accept(&p));
		ok(pair_recv(&p, CLIENT, 700));
		for (int i = 0; i < 40; i++)
			ok(pair_send(&p, CLIENT, 1 + i * 11));
		ok(pair_drain(&p, CLIENT));
		ok(pair_warm(&p));
		ok(pair_pump(&p, CLIENT, 300000, 1000));
		ok(pair_pump(&p, SERVER, 300000, 1000));
		pair_close(&p);
	}
}

static void filled_before_accept(void **state)
{
	struct pair p;

	(void)state;
	for (int round = 0; round < 10; round++) {
		ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .not_accepted = true }));
		assert_true(ok(pair_fill(&p, CLIENT, 1000 + 3000 * round)) > 10000);
		ok(pair_accept(&p));
		ok(pair_drain(&p, CLIENT));
		ok(pair_warm(&p));
		pair_close(&p);
	}
}

static void deferred_accept(void **state)
{
	struct dial d = { .kind = V4, .opt = { true, true }, .defer_accept = 10, .not_accepted = true };
	struct pair p;

	(void)state;
	for (int round = 0; round < 20; round++) {
		ok(pair_dial(&p, &d));
		/* the first bytes come with the ACK that makes the server's socket */
		for (int i = 0; i < 1 + round; i++)
			ok(pair_send(&p, CLIENT, 1 + 100 * round));
		ok(pair_accept(&p));
		ok(pair_drain(&p, CLIENT));
		ok(pair_pingpong(&p, 3, 100));
		ok(pair_warm(&p));
		ok(pair_pump(&p, CLIENT, 100000, 1000));
		pair_close(&p);
	}
}

static void server_speaks_first(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		ok(pair_open(&p, k, true, true));
		for (int i = 0; i < 30; i++)
			ok(pair_send(&p, SERVER, 1 + i * 19));
		ok(pair_recv(&p, SERVER, 1));
		for (int i = 0; i < 30; i++)
			ok(pair_send(&p, SERVER, 1 + i * 7));
		ok(pair_drain(&p, SERVER));
		ok(pair_warm(&p));
		ok(pair_pump(&p, SERVER, 300000, 1000));
		pair_close(&p);
	}
}

static void both_speak_at_once(void **state)
{
	struct pair p;

	(void)state;
	for (int round = 0; round < 50; round++) {
		ok(pair_open(&p, round % KINDS, true, true));
		for (int i = 0; i < 20; i++) {
			ok(pair_send(&p, SERVER, 1 + i));
			ok(pair_send(&p, CLIENT, 20 - i));
			if (i % 5 == round % 5) {
				ok(pair_recv(&p, CLIENT, 3));
				ok(pair_recv(&p, SERVER, 1));
			}
		}
		ok(pair_drain(&p, SERVER));
		ok(pair_drain(&p, CLIENT));
		ok(pair_warm(&p));
		pair_close(&p);
	}
}

/*
 * The reader stops until the sender gets EAGAIN: the first messages are spliced, the rest goes over TCP
 * and must wait its turn; then it reads everything and the direction may engage again.
 */
static void switch_back_and_forth(void **state)
{
	int to_tcp = 0, to_splice = 0;
	uint64_t random = 42;
	struct pair p;

	(void)state;
	/* a small send buffer, so that a round of small messages is not millions of them */
	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .sndbuf = 100000 }));
	ok(pair_warm(&p));
	for (int round = 0; round < 200; round++) {
		int from = round / 3 % 2;
		struct fastlo_info a = info(p.fd[from]), b;

		assert_true(ok(pair_fill(&p, from, 20 + rnd_size(&random, 200000))) > 0);
		b = info(p.fd[from]);
		to_tcp += b.tx_tcp_bytes > a.tx_tcp_bytes;
		/* half, then more while TCP bytes are unread, then the rest */
		ok(pair_recv(&p, from, (p.sent[from] - p.got[from]) / 2));
		for (int i = 0; i < 5; i++) {
			ssize_t n = pair_try_send(&p, from, rnd_size(&random, 2000), 0);

			if (n != -EAGAIN)
				ok(n);
		}
		ok(pair_drain(&p, from));
		a = info(p.fd[from]);
		ok(pair_pump(&p, from, 20000, 500));
		to_splice += info(p.fd[from]).tx_spliced_bytes > a.tx_spliced_bytes;
	}
	print_message("of 200 rounds %d went over to TCP, %d came back\n", to_tcp, to_splice);
	assert_true(to_tcp >= 150);
	assert_true(to_splice >= 150);
	ok(pair_warm(&p));
	pair_close(&p);
}

static void messages_larger_than_the_buffer(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	for (int i = 0; i < 20; i++) {
		ok(pair_pump(&p, i % 2, 8 << 20, 1 << 20));
		ok(pair_pump(&p, i % 2, 100000, 10));
	}
	assert_true(spliced(p.fd[CLIENT]) > 0);
	ok(pair_warm(&p));
	pair_close(&p);
}

/* A process of one thread that has sent since it connected is in no receive from before: its first answer is spliced. */
static void first_answer(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		ok(pair_open(&p, k, true, true));
		ok(pair_send(&p, CLIENT, 100));
		ok(pair_drain(&p, CLIENT));
		ok(pair_send(&p, SERVER, 100));
		ok(pair_drain(&p, SERVER));
		if (!env.plain)
			assert_int_equal(info(p.fd[SERVER]).tx_spliced_bytes, 100);
		pair_close(&p);
	}
}

struct early {
	int fd;
	_Atomic pid_t tid;
	ssize_t got;
	char mem[64];
};

static void *early_main(void *arg)
{
	struct early *e = arg;

	e->tid = (pid_t)syscall(SYS_gettid);
	e->got = recv(e->fd, e->mem, sizeof(e->mem), 0);
	return NULL;
}

enum early_who {
	THREAD,
	SPEAKING_THREAD, /* another one sends meanwhile */
	CHILD,		 /* its parent sends, and then closes the socket, which from there on has one owner of one thread */
};

/*
 * Rule 3. Somebody waits in recv(2) since before the connection was there (its first SYN met a full accept queue), so
 * they are inside tcp_recvmsg(), where no spliced byte would ever wake them to any use.
 */
static void early_reader(struct early *e, enum early_who who)
{
	struct dial d = { .kind = V4, .opt = { true, true } };
	struct pair p = { .fd = { -1, -1 }, .listener = -1 };
	struct sockaddr_storage addr;
	socklen_t len;
	pthread_t thread;
	uint16_t port;
	pid_t pid = -1;
	int filler;

	memset(e, 0, sizeof(*e));
	ok(pair_listen(&d, &p.listener, &port));
	assert_return_code(listen(p.listener, 0), errno);
	ok(pair_connect(&d, port, &filler));
	p.fd[CLIENT] = socket(kind_addr(V4, CLIENT, port, &addr, &len), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ok(opt_in(p.fd[CLIENT], 1));
	fails(connect(p.fd[CLIENT], (void *)&addr, len), EINPROGRESS);
	fcntl(p.fd[CLIENT], F_SETFL, fcntl(p.fd[CLIENT], F_GETFL) & ~O_NONBLOCK);
	e->fd = p.fd[CLIENT];
	if (who != CHILD) {
		assert_int_equal(pthread_create(&thread, NULL, early_main, e), 0);
	} else {
		pid = fork();
		if (pid == 0) {
			early_main(e);
			_exit(0);
		}
	}
	for (int64_t until = now_ms() + PATIENCE_MS; !e->tid || !thread_asleep(e->tid);)
		assert_true(tick(until));
	ok(pair_accept(&p));
	close(filler);
	close(p.fd[SERVER]);
	ok(pair_accept(&p)); /* once the SYN has been sent again */
	if (who != THREAD) {
		assert_int_equal(send(p.fd[CLIENT], "hi", 2, 0), 2);
		for (int64_t until = now_ms() + PATIENCE_MS; recv(p.fd[SERVER], e->mem, 2, MSG_DONTWAIT) != 2;)
			assert_true(tick(until));
	}
	if (who == CHILD)
		close(p.fd[CLIENT]);
	assert_int_equal(send(p.fd[SERVER], "hello", 5, 0), 5);
	assert_true(env.plain || info(p.fd[SERVER]).tx_spliced_bytes == 0);
	expect_reason(p.fd[SERVER], FL_R_NO_READ_YET);
	if (who != CHILD) {
		for (int64_t until = now_ms() + PATIENCE_MS; thread_asleep(e->tid) && tick(until);)
			;
		shutdown(p.fd[SERVER], SHUT_WR); /* lets go of it in any case */
		pthread_join(thread, NULL);
		fcntl(p.fd[CLIENT], F_SETFL, fcntl(p.fd[CLIENT], F_GETFL) | O_NONBLOCK);
	} else {
		int status = proc_wait(pid, PATIENCE_MS);

		assert_true(WIFEXITED(status));
		p.fd[CLIENT] = -1;
	}
	assert_int_equal(e->got, 5);
	assert_memory_equal(e->mem, "hello", 5);
	pair_close(&p);
}

static void reader_from_before_the_connection(void **state)
{
	struct early *e = mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(e, MAP_FAILED);
	for (enum early_who who = THREAD; who <= CHILD; who++)
		early_reader(e, who);
	munmap(e, sizeof(*e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sent_before_accept),
		cmocka_unit_test(filled_before_accept),
		cmocka_unit_test(deferred_accept),
		cmocka_unit_test(server_speaks_first),
		cmocka_unit_test(both_speak_at_once),
		cmocka_unit_test(switch_back_and_forth),
		cmocka_unit_test(messages_larger_than_the_buffer),
		cmocka_unit_test(first_answer),
		cmocka_unit_test(reader_from_before_the_connection),
	};

	return run_group(tests, group_up_staying, group_down);
}
