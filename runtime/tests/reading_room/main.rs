//! `xreport serve` as a process: what it refuses, what it keeps, how it ends; and the page in a real browser.
//! Signals and `/proc` are used all over: on Unix alone.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

mod browser;
mod described;
mod drafts;
mod evidence;
mod images;
mod refusals;
mod server;
mod signatures;
mod steady;
