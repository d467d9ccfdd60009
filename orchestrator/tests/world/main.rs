//! A whole daemon in one process, over a forge, an engine and sidecars in memory: one issue from its
//! label to its merge, with every call failing, every answer getting lost, and a `SIGKILL` at every
//! call. The end is the same, and everything was done once.

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod installation;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod story;
