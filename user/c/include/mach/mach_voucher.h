/* Calls of vouchers (docs/spec/vouchers.md 4.3 to 4.6). The room of a result goes in, and its size comes out. */
#ifndef MACH_MACH_VOUCHER_H
#define MACH_MACH_VOUCHER_H

#include <mach/mach_types.h>
#include <mach/message.h>

/* Reads the content of an attribute. */
kern_return_t mach_voucher_extract_attr_content(ipc_voucher_t voucher, mach_voucher_attr_key_t key,
                                                mach_voucher_attr_content_t content,
                                                mach_msg_type_number_t *contentCnt);
/* Reads an attribute as a recipe. */
kern_return_t mach_voucher_extract_attr_recipe(ipc_voucher_t voucher, mach_voucher_attr_key_t key,
                                               mach_voucher_attr_raw_recipe_t recipe,
                                               mach_msg_type_number_t *recipeCnt);
/* Reads all attributes as recipes. */
kern_return_t mach_voucher_extract_all_attr_recipes(ipc_voucher_t voucher,
                                                    mach_voucher_attr_raw_recipe_array_t recipes,
                                                    mach_msg_type_number_t *recipesCnt);
/* Gives a command to the manager of an attribute. */
kern_return_t mach_voucher_attr_command(ipc_voucher_t voucher, mach_voucher_attr_key_t key,
                                        mach_voucher_attr_command_t command, mach_voucher_attr_content_t in_content,
                                        mach_msg_type_number_t in_contentCnt, mach_voucher_attr_content_t out_content,
                                        mach_msg_type_number_t *out_contentCnt);

#endif
