/* Classes of work (docs/spec/dispatch.md 1.1). */
#ifndef SYS_QOS_H
#define SYS_QOS_H

typedef enum qos_class {
    QOS_CLASS_USER_INTERACTIVE = 0x21,
    QOS_CLASS_USER_INITIATED = 0x19,
    QOS_CLASS_DEFAULT = 0x15,
    QOS_CLASS_UTILITY = 0x11,
    QOS_CLASS_BACKGROUND = 0x09,
    QOS_CLASS_MAINTENANCE = 0x05,
    QOS_CLASS_UNSPECIFIED = 0x00,
} qos_class_t;

#define QOS_MIN_RELATIVE_PRIORITY (-15)

/* The class that the calling thread requests. */
qos_class_t qos_class_self(void);

#endif
