// SPDX-License-Identifier: GPL-2.0-only
/*
 * The addresses of the kernel functions and counters that fastlod asks for by name. /proc/kallsyms shows them to
 * CAP_SYSLOG only, and not to a service with ProcSubset=pid; an iterator needs no more than fastlod has anyway.
 */
#include "maps.h"

/* They lie at the same distance for every task of a kernel, which depends on its configuration. */
fl_inline void fl_say_registers(struct seq_file *seq)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = bpf_get_current_task_btf();
	struct fl_symbol out = { .addr = (__u64)task->stack, .index = FL_SYMBOL_STACK };

	bpf_seq_write(seq, &out, sizeof(out));
	out.addr = bpf_task_pt_regs(task);
	out.index = FL_SYMBOL_REGS;
	bpf_seq_write(seq, &out, sizeof(out));
#endif
}

SEC("iter/ksym")
int fl_symbols(struct bpf_iter__ksym *ctx)
{
	struct kallsym_iter *sym = ctx->ksym;
	struct fl_symbol out = {};
	struct fl_name name = {};
	__u32 *index;

	if (ctx->meta->seq_num == 0)
		fl_say_registers(ctx->meta->seq);
	if (!sym || bpf_probe_read_kernel_str(name.text, sizeof(name.text), sym->name) < 0)
		return 0;
	index = bpf_map_lookup_elem(&fl_wanted, &name);
	if (!index)
		return 0;
	out.addr = sym->value;
	out.index = *index;
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}
