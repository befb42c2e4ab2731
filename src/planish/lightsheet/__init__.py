"""Several cameras instead of several planes: many views of one volume, one sharp volume."""
