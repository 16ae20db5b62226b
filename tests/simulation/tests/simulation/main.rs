//! qib's engine, the AWS SDK and the local EC2 in one process, on a clock that does not wait: whatever goes wrong at
//! whatever call, nothing is left behind, nothing is done twice, nothing hangs, and no secret gets out.
//!
//! ```text
//!   case ─▶ world (account, instances, clock) ◀── processes: build::run ─▶ aws (the real SDK) ─▶ wire ─▶ local EC2
//!     │                                                                                   faults, crashes
//!     └─▶ verdict ─▶ one row of the table for each matrix
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an edge: it reads its own settings from the environment, keeps time and prints"
)]

mod clock;
mod fault;
mod holdings;
mod machines;
mod process;
mod shell;
mod wire;
mod world;

use build::names::RunId;
use fault::Crash;
use machines::Ailment;
use process::{End, Orders, Verb, conduct, two_stages};
use world::World;

#[test]
fn smoke() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    for n in 0..3 {
        let begun = std::time::Instant::now();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let world = World::new(Ailment::None, |_| {});
            let orders = Orders {
                host: "a".into(),
                run: RunId::from_random(n),
                verb: Verb::Run,
                pipeline: two_stages("eipalloc-0local"),
                faults: Vec::new(),
                crash: Crash::Never,
                signal: None,
            };
            let past = conduct(&world, orders).await;
            if n == 0 {
                println!("{}", past.told);
                println!("{:?}", past.end);
                for call in &past.calls {
                    println!("{} {:?}", call.action, call.code);
                }
                println!("{:#?}", world.added());
            }
            println!(
                "{} calls, {} records, {} virtual, {:?}",
                past.calls.len(),
                past.records,
                world.now(),
                begun.elapsed()
            );
            assert!(matches!(past.end, End::Report(_)));
        });
    }
}
