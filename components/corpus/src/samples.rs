//! Texts for the tests: written for them, and real ones.

/// A page on cells.
pub const BIOLOGY: &str = "Cell Structure

Every living thing is made of cells. The cell is the smallest unit of life that can grow and divide
on its own. The cell membrane surrounds the cell and controls what enters and what leaves it. Inside
the cell membrane lies the cytoplasm. The cytoplasm is a jelly-like substance in which most chemical
reactions of the cell take place. The nucleus contains the genetic material and directs the work of
the cell. In plants a stiff cell wall made of cellulose stands outside the cell membrane and gives the
cell its shape.

Mitochondria and Energy

Mitochondria are the places where aerobic respiration releases energy from glucose. A muscle cell needs
much energy and therefore contains many mitochondria. During aerobic respiration glucose reacts with
oxygen, and carbon dioxide and water are formed. The energy released by respiration is stored in a
molecule called ATP. Without oxygen some cells can still release a little energy by anaerobic
respiration, which produces lactic acid in muscles.

Photosynthesis

Photosynthesis is the process by which green plants make glucose from carbon dioxide and water.
Chloroplasts contain the green pigment chlorophyll, which absorbs light energy. The light energy is
converted into chemical energy, and oxygen is released as a waste product. Most photosynthesis takes
place in the palisade cells of the leaf, which contain many chloroplasts. The rate of photosynthesis
depends on light intensity, carbon dioxide concentration and temperature.

Cell Division

Mitosis is a kind of cell division that produces two cells with the same chromosomes. Growth and the
repair of damaged tissue depend on mitosis. Meiosis is another kind of cell division, and it produces
four sex cells with half the number of chromosomes. A human body cell has 46 chromosomes, while a sex
cell has only 23. Before a cell divides, each chromosome makes a copy of itself, and the cytoplasm
doubles its number of mitochondria.
";

/// A page on engines.
pub const HISTORY: &str = "The Steam Engine

The first useful steam engine was built by Thomas Newcomen in 1712 to pump water out of coal mines.
James Watt patented a much better steam engine in 1769, which used far less coal. By 1800 about five
hundred of his engines were at work in Britain. The steam engine drove spinning mills and factories far
away from rivers. Coal became the most important fuel of the century, and mining towns grew quickly.

Factories and Towns

Factories needed many workers, and people moved from villages to the towns. The population of Manchester
grew from about 25,000 in 1772 to more than 300,000 in 1851. Children worked twelve hours a day in the
cotton mills until the Factory Act of 1833 limited their hours. The railway between Liverpool and
Manchester opened in 1830 and carried cotton, coal and passengers. Trade unions were formed to fight for
better wages and shorter working hours.
";

/// What real files do to a parser.
pub const AWKWARD: &[&str] = &[
    "",
    ".",
    "a",
    "\n\n\n",
    "\0\0",
    "no full stop at all",
    "👩‍👩‍👧 family. e\u{301}tude! \u{202E}rtl.",
    "مرحبا بالعالم. كيف حالك؟",
    "細胞。分裂。\r\n\r\n次。",
    "....................",
    "A. B. C. D. 1. 2. 3.",
    "\u{FEFF}bom. \u{200B}zero width.",
    "-\n-\n- -",
];

/// Excerpts of real documents and their names; see `samples/real/README.md`.
pub const REAL: [(&str, &str); 8] = [
    ("ownership", include_str!("../samples/real/ownership.txt")),
    (
        "atomic-commit",
        include_str!("../samples/real/atomic-commit.txt"),
    ),
    (
        "transactions",
        include_str!("../samples/real/transactions.txt"),
    ),
    ("unicode", include_str!("../samples/real/unicode.txt")),
    ("trees", include_str!("../samples/real/trees.txt")),
    ("persuasion", include_str!("../samples/real/persuasion.txt")),
    ("threads", include_str!("../samples/real/threads.txt")),
    ("northanger", include_str!("../samples/real/northanger.txt")),
];

/// Those of them that were asked about only when search and answers were done.
pub const HELD_OUT: [&str; 2] = ["threads", "northanger"];

/// Questions about [`REAL`], as JSON: `document`, `question`, and `passages`, words of the sentences that
/// answer, none where the document does not say.
pub const REAL_QUESTIONS: &str = include_str!("../samples/real/questions.json");
