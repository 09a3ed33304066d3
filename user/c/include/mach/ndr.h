/* The record in front of a message's data, which says how numbers are stored. */
#ifndef MACH_NDR_H
#define MACH_NDR_H

typedef struct {
    unsigned char mig_vers;
    unsigned char if_vers;
    unsigned char reserved1;
    unsigned char mig_encoding;
    unsigned char int_rep;
    unsigned char char_rep;
    unsigned char float_rep;
    unsigned char reserved2;
} NDR_record_t;

#define NDR_INT_LITTLE_ENDIAN 1

/* The record of this machine: little-endian integers. */
extern const NDR_record_t NDR_record;

#endif
