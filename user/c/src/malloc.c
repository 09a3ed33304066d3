/* Memory in small pieces. Blocks have sizes of powers of two and go back to a list of their size; blocks that are larger
 * than the largest of these have pages of their own. */

#include <mach/mach.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The beginning of a block. What the program gets follows it. */
struct block {
    size_t size; /* with this beginning */
    struct block *next; /* while it is free */
};

enum { SMALLEST = 5, LARGEST = 15, CLASSES = LARGEST - SMALLEST + 1, CHUNK = 64 << 10 };

static struct block *free_blocks[CLASSES];
/* What is left of the newest chunk. */
static char *rest;
static size_t rest_size;
static int locked;

static void lock(void) {
    /* A thread that holds the lock is ready to run, and does so while this one stands back. */
    while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE) != 0)
        swtch_pri(0);
}

static void unlock(void) {
    __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

static void *pages(size_t size) {
    mach_vm_address_t address = 0;
    if (mach_vm_allocate(mach_task_self(), &address, size, VM_FLAGS_ANYWHERE) != KERN_SUCCESS)
        return NULL;
    return (void *)address;
}

/* Returns a block of a class, or null. The caller has the lock. */
static struct block *take(int class) {
    struct block *block = free_blocks[class];
    size_t size = (size_t)1 << (SMALLEST + class);
    if (block != NULL) {
        free_blocks[class] = block->next;
        return block;
    }
    if (rest_size < size) {
        char *chunk = pages(CHUNK);
        if (chunk == NULL)
            return NULL;
        rest = chunk;
        rest_size = CHUNK;
    }
    block = (struct block *)rest;
    block->size = size;
    rest += size;
    rest_size -= size;
    return block;
}

/* Returns the class of blocks that have so many bytes, or CLASSES if there is none. */
static int class_of(size_t size) {
    int class = 0;
    while (class < CLASSES && (size_t)1 << (SMALLEST + class) < size)
        class++;
    return class;
}

void *malloc(size_t size) {
    if (size > SIZE_MAX - sizeof(struct block) - vm_page_size)
        return NULL;
    size += sizeof(struct block);
    struct block *block;
    int class = class_of(size);
    if (class == CLASSES) {
        block = pages(size);
        if (block != NULL)
            block->size = size;
    } else {
        lock();
        block = take(class);
        unlock();
    }
    return block == NULL ? NULL : block + 1;
}

void free(void *memory) {
    if (memory == NULL)
        return;
    struct block *block = (struct block *)memory - 1;
    int class = class_of(block->size);
    if (class == CLASSES) {
        mach_vm_deallocate(mach_task_self(), (mach_vm_address_t)block, block->size);
        return;
    }
    lock();
    block->next = free_blocks[class];
    free_blocks[class] = block;
    unlock();
}

void *calloc(size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *memory = malloc(total);
    if (memory != NULL)
        memset(memory, 0, total);
    return memory;
}

void *realloc(void *memory, size_t size) {
    size_t room = memory == NULL ? 0 : ((struct block *)memory - 1)->size - sizeof(struct block);
    if (memory != NULL && size <= room)
        return memory;
    void *larger = malloc(size);
    if (larger != NULL && memory != NULL) {
        memcpy(larger, memory, room);
        free(memory);
    }
    return larger;
}
