"""From a CT volume to labels on its own grid: :class:`LiverSegLib.inference.segmenter.Segmenter` is the door."""
