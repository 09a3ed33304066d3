//! Relocating a position-independent program: one that is linked at 0 and loaded elsewhere.
//!
//! The programs of the bundle are linked at fixed addresses. Programs of others are position-independent, unless their
//! authors choose otherwise: the target says so.

use core::arch::naked_asm;

// Entries of the auxiliary vector.
const AT_PHDR: u32 = 3;
const AT_PHNUM: u32 = 5;
// The type of a program header, and where its fields are.
const PT_DYNAMIC: u32 = 2;
const PHDR_ADDRESS: usize = 16;
const PHDR_SIZE: usize = 56;
// Entries of the dynamic section, which are pairs as those of the auxiliary vector are.
const DT_RELA: u32 = 7;
const DT_RELASZ: u32 = 8;
// A relocation: the offset of a word, the type, and what is added to the load address to make the word.
const RELA_TYPE: usize = 8;
const RELA_ADDEND: usize = 16;
const RELA_SIZE: usize = 24;
const R_X86_64_RELATIVE: u32 = 8;

/// Adds the load address to all pointers in the program's data. Returns 1 if there are relocations of other types, which
/// are left alone, otherwise 0.
///
/// `block` is the address of the block on top of the first stack, `dynamic` that of the program's dynamic section, or
/// null. It is written in assembly, because the compiler's code may use pointers in data for any call.
#[unsafe(naked)]
pub(super) extern "C" fn relocate(block: *const u64, dynamic: *const u64) -> u32 {
    naked_asm!(
        "xor eax, eax",
        "test rsi, rsi; jz 9f",
        // rdi: the auxiliary vector, behind the arguments and the environment.
        "mov rcx, [rdi]",
        "lea rdi, [rdi + 8 * rcx + 16]",
        "2:",
        "mov rcx, [rdi]",
        "add rdi, 8",
        "test rcx, rcx; jnz 2b",
        // r8: the address of the program headers, r9: their number.
        "xor r8d, r8d; xor r9d, r9d",
        "3:",
        "mov rcx, [rdi]",
        "cmp rcx, {at_phdr}",
        "cmove r8, [rdi + 8]",
        "cmp rcx, {at_phnum}",
        "cmove r9, [rdi + 8]",
        "add rdi, 16",
        "test rcx, rcx; jnz 3b",
        // r8: the header of the dynamic section.
        "4:",
        "sub r9, 1; jb 9f",
        "cmp dword ptr [r8], {pt_dynamic}",
        "je 5f",
        "add r8, {phdr_size}; jmp 4b",
        // r10: the load address. r8: the address of the relocations, r9: the bytes that they take.
        "5:",
        "mov r10, rsi",
        "sub r10, [r8 + {phdr_address}]",
        "xor r8d, r8d; xor r9d, r9d",
        "6:",
        "mov rcx, [rsi]",
        "cmp rcx, {dt_rela}",
        "cmove r8, [rsi + 8]",
        "cmp rcx, {dt_relasz}",
        "cmove r9, [rsi + 8]",
        "add rsi, 16",
        "test rcx, rcx; jnz 6b",
        "add r8, r10",
        "7:",
        "sub r9, {rela_size}; jb 9f",
        "cmp dword ptr [r8 + {rela_type}], {relative}",
        "jne 8f",
        "mov rcx, [r8]",
        "mov rdx, [r8 + {rela_addend}]",
        "add rdx, r10",
        "mov [r10 + rcx], rdx",
        "add r8, {rela_size}; jmp 7b",
        "8:",
        "mov eax, 1",
        "add r8, {rela_size}; jmp 7b",
        "9:",
        "ret",
        at_phdr = const AT_PHDR,
        at_phnum = const AT_PHNUM,
        pt_dynamic = const PT_DYNAMIC,
        phdr_address = const PHDR_ADDRESS,
        phdr_size = const PHDR_SIZE,
        dt_rela = const DT_RELA,
        dt_relasz = const DT_RELASZ,
        rela_type = const RELA_TYPE,
        rela_addend = const RELA_ADDEND,
        rela_size = const RELA_SIZE,
        relative = const R_X86_64_RELATIVE,
    )
}
