//! Where the programs under test are.

use std::path::PathBuf;

use super::Fault;

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The daemon and its commands.
    pub orchestrate: PathBuf,
    /// The directory of the static `sidecar` and `bottle`.
    pub inside: PathBuf,
}

impl Programs {
    /// Finds `orchestrate` beside this program, and the static ones where `BOT_BOTTLE_TEST_BIN_DIR`
    /// says or where cargo puts them.
    ///
    /// # Errors
    /// Which is missing and how it is built.
    pub fn find() -> Result<Self, Fault> {
        let own = std::env::current_exe()?;
        let beside = own
            .ancestors()
            .skip(1)
            .take(3)
            .map(|dir| dir.join("orchestrate"))
            .find(|path| path.is_file());
        let orchestrate =
            beside.ok_or("orchestrate is not built; run `make test` or `make demo`")?;
        let target = own
            .ancestors()
            .find(|dir| dir.ends_with("target"))
            .map(PathBuf::from)
            .unwrap_or_default();
        let usual = target.join(format!("{}-unknown-linux-musl/small", std::env::consts::ARCH));
        let inside = bin_dir().unwrap_or(usual);
        for program in ["sidecar", "bottle"] {
            if !inside.join(program).is_file() {
                return Err(format!(
                    "{program} is not in {}; run `make test` or `make demo`",
                    inside.display()
                )
                .into());
            }
        }
        Ok(Self { orchestrate, inside })
    }
}

fn bin_dir() -> Option<PathBuf> {
    std::env::var_os("BOT_BOTTLE_TEST_BIN_DIR").map(PathBuf::from)
}
