/* Flags of mach_vm_allocate. */
#ifndef MACH_VM_STATISTICS_H
#define MACH_VM_STATISTICS_H

#define VM_FLAGS_FIXED 0
#define VM_FLAGS_ANYWHERE 1
#define VM_FLAGS_OVERWRITE 0x4000
#define VM_FLAGS_ALIAS_MASK 0xFF000000
#define VM_MAKE_TAG(tag) ((unsigned int)(tag) << 24)

#endif
