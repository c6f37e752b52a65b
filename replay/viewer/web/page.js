// The page of one call, which holds everything: `realtape show --html`.
import { Viewer } from "./viewer.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const extras = read("extras");
const downloads = extras.downloads;
const call = read("call");
const viewer = new Viewer({
  document: call,
  sound: async () => {
    const { pieces, problem } = read("sound");
    if (problem) throw new Error(problem);
    return pieces;
  },
  ...extras,
});
if (call.channels.some((channel) => channel.audio_s > 0)) {
  downloads.push({ label: "WAV", title: "The call as a WAV: left the caller, right the service", make: () => viewer.saveWav(`${call.title}.wav`) });
  viewer.told = "";
  viewer.changed();
}
document.body.append(viewer.node);
viewer.follow();
