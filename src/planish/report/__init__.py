"""SHOW: records, heatmaps and focus images."""
