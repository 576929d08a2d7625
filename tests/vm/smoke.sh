#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What `make check` does of `make vm`: one short suite on each kernel, if they have been fetched.
O=${O:-build}
VM_DIR=${VM_DIR:-$O/vm}
for kernel in 6.1 6.12; do
	if [ ! -e "$VM_DIR/$kernel/vmlinuz" ]; then
		echo "no kernel in '$VM_DIR/$kernel' (make vm fetches it), left out"
		exit 0
	fi
done
export O VM_DIR
ONLY=splice/auto exec "$(dirname "$0")/run.sh"
