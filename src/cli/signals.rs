//! Ctrl-C and termination: the first signal asks for an end at the next safe point, and says so at once; the second ends at
//! once, and so does the first while a person is asked something, as nothing is under way then.
//!
//! What is safe is known by [`crate::run`], which looks at the flag. A file that grows too large is no end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator;

/// Whether a person is being asked; one for the program, as there is one terminal.
static ASKING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Whether the program is to end; one for the program, as whatever waits in it has to look at it.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The number of the signal that came; 0 where none did.
static NUMBER: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// What signals have set so far.
#[derive(Debug, Clone)]
pub struct Signals {
    stop: Arc<AtomicBool>,
}

/// Returns the flag that is set when the program is to end.
pub fn stop_flag() -> Arc<AtomicBool> {
    Arc::clone(&STOP)
}

impl Signals {
    /// Begins to listen. Where the system refuses, signals keep their usual effect, which loses nothing either: what
    /// was confirmed is in the state.
    ///
    /// `tell` hears of the first one, on a thread of its own: a handler may not print.
    pub fn listen(tell: fn()) -> Signals {
        let signals = Signals { stop: stop_flag() };
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).expect("signal numbers are small and positive");
            // In this order: the shutdown looks at the flag before the same signal sets it.
            let _ = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop));
            let _ = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ASKING));
            let _ = flag::register_usize(signal, Arc::clone(&NUMBER), number);
            let _ = flag::register(signal, Arc::clone(&signals.stop));
        }
        if let Ok(mut heard) = iterator::Signals::new([SIGINT, SIGTERM]) {
            thread::spawn(move || heard.forever().take(1).for_each(|_| tell()));
        }
        signals
    }

    /// Returns the flag that is set when the run has to end.
    pub fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// Returns the number of the signal that came, if one did.
    pub fn number(&self) -> Option<u8> {
        number()
    }
}

/// Returns the number of the signal that came, if one did that was listened for.
pub fn number() -> Option<u8> {
    u8::try_from(NUMBER.load(Ordering::SeqCst)).ok().filter(|number| *number > 0)
}

/// Lets a write fail that goes beyond what one file may have (`ulimit -f`), as it does on a full disk: by itself the signal
/// that comes along ends the program without a word. Where the system refuses, it keeps that effect.
pub fn outlive_file_limit() {
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Waits for a person: a signal ends the program at once meanwhile.
pub fn asking<T>(wait: impl FnOnce() -> T) -> T {
    ASKING.store(true, Ordering::SeqCst);
    let answer = wait();
    ASKING.store(false, Ordering::SeqCst);
    answer
}
