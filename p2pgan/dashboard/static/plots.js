// What is drawn over the versions, and what it means for somebody who sees it for the first time.
// `lines`: column, label, colour. `mean`: nobody has it for itself. `rows`: which answer it is in. `steep`: on a
// scale that shows small values beside large ones.

import { bytes } from "./dom.js";

export const PROGRESS = [
  { title: "Losses", lines: [["loss_g", "G", "--g"], ["loss_d", "D", "--d"]],
    about: "What G and D each try to make small. They pull against each other: up and down is well, one that stays at 0 has won." },
  { title: "What D says", lines: [["d_real", "D(x)", "--real"], ["d_fake", "D(G(z))", "--fake"]], range: [0, 1],
    about: "How real D takes real images, D(x), and drawn ones, D(G(z)), to be. Well: D(x) above the other, both away from 0 and 1." },
  { title: "Score", lines: [["fid", "FID", "--g"], ["floor", "floor", "--soft"]], rows: "scores", mean: true, zero: true, steep: true,
    about: "How far drawn images are from real ones. Lower is better; real images among themselves reach the floor." },
  { title: "Images per second", lines: [["images_per_s", "images/s", "--speed"]], zero: true,
    about: "Of all peers together: the images of five versions by their time, since what is trained ahead counts in the next. Of one: as timed." },
  { title: "Seconds per round", lines: [["round_s", "round", "--round"]], zero: true, mean: true,
    about: "From one version to the next: training, then averaging." },
  { title: "Bytes per round", lines: [["bytes_sent", "sent", "--g"], ["bytes_received", "received", "--real"]], zero: true, said: bytes,
    about: "What one peer sent and received for a version. A larger net takes more, a codec with fewer bits for a number takes less." },
];

export const HEALTH = [
  { title: "Mean sign of D", lines: [["sign_real", "real", "--real"], ["sign_held_out", "held out", "--fake"]], range: [-1, 1],
    about: "Real images that D takes to be real, less the others. Well: 0.2 to 0.8. Above 0.98 it learns nothing; held out far below: it knows images by heart." },
  { title: "R1", lines: [["r1", "R1", "--d"]], zero: true,
    about: "How steeply D's verdict changes at real images. Well: steady. Ten times as much: D grows too sharp for G to learn from." },
  { title: "Gradients", lines: [["grad_g", "G", "--g"], ["grad_d", "D", "--d"]], zero: true,
    about: "How hard each network is pulled. Well: steady. 0: it learns nothing; growing without end: it falls apart." },
  { title: "Diversity", lines: [["diversity", "diversity", "--g"]], zero: true,
    about: "How far drawn images differ from each other. Well: 0.4 to 0.9, as real ones do. Near 0: G draws the same image again and again." },
  { title: "Cosine", lines: [["cosine", "cosine", "--g"]],
    about: "Whether what a peer learned points where the mean of all does: 1 the same way, 0 nothing in common, below 0 against it." },
  { title: "Drift", lines: [["drift", "drift", "--d"]], zero: true,
    about: "How far a peer ends from the mean, in lengths of the mean. Growing for long: rounds are too long." },
];
