/* Vouchers: keys, commands and recipes (docs/spec/vouchers.md). */
#ifndef MACH_MACH_VOUCHER_TYPES_H
#define MACH_MACH_VOUCHER_TYPES_H

#include <mach/std_types.h>
#include <stdint.h>

typedef mach_port_t mach_voucher_t;
typedef mach_port_name_t mach_voucher_name_t;
typedef mach_voucher_t ipc_voucher_t;

#define MACH_VOUCHER_NULL ((mach_voucher_t)0)
#define MACH_VOUCHER_NAME_NULL ((mach_voucher_name_t)0)
#define IPC_VOUCHER_NULL ((ipc_voucher_t)0)

typedef uint32_t mach_voucher_selector_t;

#define MACH_VOUCHER_SELECTOR_CURRENT ((mach_voucher_selector_t)0)

/* A key names an attribute. */
typedef uint32_t mach_voucher_attr_key_t;

#define MACH_VOUCHER_ATTR_KEY_ALL ((mach_voucher_attr_key_t)~0u)
#define MACH_VOUCHER_ATTR_KEY_NONE ((mach_voucher_attr_key_t)0)
#define MACH_VOUCHER_ATTR_KEY_IMPORTANCE ((mach_voucher_attr_key_t)2)
#define MACH_VOUCHER_ATTR_KEY_BANK ((mach_voucher_attr_key_t)3)
#define MACH_VOUCHER_ATTR_KEY_PTHPRIORITY ((mach_voucher_attr_key_t)4)
#define MACH_VOUCHER_ATTR_KEY_USER_DATA ((mach_voucher_attr_key_t)7)
#define MACH_VOUCHER_ATTR_KEY_TEST ((mach_voucher_attr_key_t)8)

/* Commands of recipes, and of mach_voucher_attr_command. */
typedef uint32_t mach_voucher_attr_recipe_command_t;
typedef uint32_t mach_voucher_attr_command_t;

#define MACH_VOUCHER_ATTR_NOOP ((mach_voucher_attr_recipe_command_t)0)
#define MACH_VOUCHER_ATTR_COPY ((mach_voucher_attr_recipe_command_t)1)
#define MACH_VOUCHER_ATTR_REMOVE ((mach_voucher_attr_recipe_command_t)2)
#define MACH_VOUCHER_ATTR_SET_VALUE_HANDLE ((mach_voucher_attr_recipe_command_t)3)
#define MACH_VOUCHER_ATTR_AUTO_REDEEM ((mach_voucher_attr_recipe_command_t)4)
#define MACH_VOUCHER_ATTR_SEND_PREPROCESS ((mach_voucher_attr_recipe_command_t)5)
#define MACH_VOUCHER_ATTR_REDEEM ((mach_voucher_attr_recipe_command_t)10)
#define MACH_VOUCHER_ATTR_IMPORTANCE_SELF ((mach_voucher_attr_recipe_command_t)200)
#define MACH_VOUCHER_ATTR_USER_DATA_STORE ((mach_voucher_attr_recipe_command_t)211)
#define MACH_VOUCHER_ATTR_BANK_NULL ((mach_voucher_attr_recipe_command_t)601)
#define MACH_VOUCHER_ATTR_BANK_CREATE ((mach_voucher_attr_recipe_command_t)610)
#define MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA ((mach_voucher_attr_recipe_command_t)611)
#define MACH_VOUCHER_ATTR_PTHPRIORITY_NULL ((mach_voucher_attr_recipe_command_t)701)
#define MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE ((mach_voucher_attr_recipe_command_t)710)
/* Of mach_voucher_attr_command with the key for importance: gives boosts back early. */
#define MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL ((mach_voucher_attr_command_t)2)

typedef uint32_t mach_voucher_attr_content_size_t;
typedef uint8_t *mach_voucher_attr_content_t;
typedef uint8_t *mach_voucher_attr_raw_recipe_t;
typedef uint8_t *mach_voucher_attr_raw_recipe_array_t;
typedef uint32_t mach_voucher_attr_raw_recipe_size_t;
typedef uint32_t mach_voucher_attr_raw_recipe_array_size_t;

#define MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE 5120

#pragma pack(push, 1)

/* A recipe. Its content follows, and then the next recipe, without padding. */
typedef struct mach_voucher_attr_recipe_data {
    mach_voucher_attr_key_t key;
    mach_voucher_attr_recipe_command_t command;
    mach_voucher_name_t previous_voucher;
    mach_voucher_attr_content_size_t content_size;
    uint8_t content[];
} mach_voucher_attr_recipe_data_t;
typedef mach_voucher_attr_recipe_data_t *mach_voucher_attr_recipe_t;

#pragma pack(pop)

typedef uint32_t mach_voucher_attr_recipe_size_t;

#endif
