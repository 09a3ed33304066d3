//! The acceptance examples of vouchers 10.1 to 10.4, 10.6 and 10.7 that do not need a kernel, the vulnerabilities of
//! section 8 and the quirks of appendix A.

mod bank;
mod bank_commands;
mod billing;
mod commands;
mod extraction;
mod interleaving;
mod objects;
mod priorities;
mod protocol;
mod quirks;
mod recipes;
mod replacing;
mod support;
mod system;
mod threads;
mod vulnerabilities;
