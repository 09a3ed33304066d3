/* The calls vm_allocate, vm_deallocate and vm_protect. */
#ifndef MACH_VM_MAP_H
#define MACH_VM_MAP_H

#include <mach/mach_vm.h>

#endif
