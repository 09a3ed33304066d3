/* Vouchers, and the calls of the host port that make them. */

#include "call.h"

/* The room that a request may ask for. */
enum { CONTENT_MAX = 4096 };

kern_return_t host_create_mach_voucher(host_t host, mach_voucher_attr_raw_recipe_array_t recipes,
                                       mach_msg_type_number_t recipesCnt, ipc_voucher_t *voucher) {
    return host_create_mach_voucher_trap(host, recipes, (int)recipesCnt, voucher);
}

static uint32_t room(const mach_msg_type_number_t *count, uint32_t max) {
    return *count < max ? *count : max;
}

kern_return_t mach_voucher_extract_attr_content(ipc_voucher_t voucher, mach_voucher_attr_key_t key,
                                                mach_voucher_attr_content_t content,
                                                mach_msg_type_number_t *contentCnt) {
    CALL(call, CALL_LARGE);
    call_word(&call, key);
    call_word(&call, room(contentCnt, CONTENT_MAX));
    kern_return_t code = call_make(&call, voucher, 5400, 1);
    return code != KERN_SUCCESS ? code : call_result_array(&call, content, contentCnt);
}

kern_return_t mach_voucher_extract_attr_recipe(ipc_voucher_t voucher, mach_voucher_attr_key_t key,
                                               mach_voucher_attr_raw_recipe_t recipe,
                                               mach_msg_type_number_t *recipeCnt) {
    return mach_voucher_extract_attr_recipe_trap(voucher, key, recipe, recipeCnt);
}

kern_return_t mach_voucher_extract_all_attr_recipes(ipc_voucher_t voucher,
                                                    mach_voucher_attr_raw_recipe_array_t recipes,
                                                    mach_msg_type_number_t *recipesCnt) {
    CALL(call, CALL_LARGE);
    call_word(&call, room(recipesCnt, MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE));
    kern_return_t code = call_make(&call, voucher, 5402, 1);
    return code != KERN_SUCCESS ? code : call_result_array(&call, recipes, recipesCnt);
}

kern_return_t mach_voucher_attr_command(ipc_voucher_t voucher, mach_voucher_attr_key_t key,
                                        mach_voucher_attr_command_t command, mach_voucher_attr_content_t in_content,
                                        mach_msg_type_number_t in_contentCnt, mach_voucher_attr_content_t out_content,
                                        mach_msg_type_number_t *out_contentCnt) {
    if (in_contentCnt > CONTENT_MAX)
        return KERN_INVALID_ARGUMENT;
    CALL(call, CALL_LARGE);
    call_word(&call, key);
    call_word(&call, command);
    call_array(&call, in_content, in_contentCnt);
    call_word(&call, room(out_contentCnt, CONTENT_MAX));
    kern_return_t code = call_make(&call, voucher, 5403, 1);
    return code != KERN_SUCCESS ? code : call_result_array(&call, out_content, out_contentCnt);
}
